-- Sets and clears a queue's settings: paused, limits, retention. An empty value clears.
--
-- keys: meta ready ranked wake
-- uses: wake
-- argv: name, value pairs
-- replies: ok
-- cost: O(pairs)
-- holds: a queue that may hand out jobs again has woken a worker.

for at = 1, #ARGV, 2 do
  if ARGV[at + 1] == '' then
    call('HDEL', meta, ARGV[at])
  else
    call('HSET', meta, ARGV[at], ARGV[at + 1])
  end
end
if call('EXISTS', ready, ranked) > 0 then
  wake_one()
end
return 'ok'
