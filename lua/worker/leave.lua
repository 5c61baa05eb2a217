-- Takes a worker out of a queue once it holds nothing; one that still holds jobs stays, to be reaped when its lease ends.
--
-- keys: workers held scheduled opening ready ranked ring wake
-- uses: wake
-- argv: worker id
-- replies: {code, held}; code: ok | holding
-- cost: O(log workers)
-- holds: what a worker held when it left for good is found by a reaper.

local worker = ARGV[1]
local holding = tonumber(call('HGET', held, worker) or 0)
if holding > 0 then
  return { 'holding', holding }
end
call('ZREM', workers, worker)
call('HDEL', held, worker)
if call('EXISTS', scheduled, opening, ready, ranked, ring) > 0 then
  -- Nobody else may know when the next job falls due, or a key or the queue's rate opens.
  wake_one()
end
return { 'ok', 0 }
