-- Enters a worker into a queue under an identity that was never used before.
--
-- keys: meta workers held
-- uses: clock memory
-- argv: now or '', worker id, lease in ms
-- replies: {now, code}; code: ok | taken (the identity is known already: make another)
-- cost: O(log workers)
-- holds: a worker in `workers` has a count in `held`, and the other way round.

local now = now_ms(ARGV[1])
local worker, lease = ARGV[2], tonumber(ARGV[3])

write_despite_full_memory()
if call('HSETNX', held, worker, 0) == 0 then
  return { now, 'taken' }
end
call('ZADD', workers, now + lease, worker)
return { now, 'ok' }
