-- Sets and clears a queue's settings: paused, limits, retention. An empty value clears.
--
-- keys: meta ready ranked ring wake
-- uses: memory wake
-- argv: name, value pairs
-- replies: ok
-- cost: O(pairs)
-- holds: a queue that may hand out jobs again has woken a worker.

-- A new rate owes nothing for what went out at the old one; setting the same one again forgives nothing.
local RATE = { rate_interval = true, rate_burst = true }

write_despite_full_memory()
for at = 1, #ARGV, 2 do
  local name, value = ARGV[at], ARGV[at + 1]
  if RATE[name] and call('HGET', meta, name) ~= value then
    call('HDEL', meta, 'rate_full_at')
  end
  if value == '' then
    call('HDEL', meta, name)
  else
    call('HSET', meta, name, value)
  end
end
if call('EXISTS', ready, ranked, ring) > 0 then
  wake_one()
end
return 'ok'
