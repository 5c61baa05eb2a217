-- Tells what a worker process is, that it lives, and hears what operators want of it.
--
-- keys: seen about orders epoch queues
-- uses: clock
-- argv: now or '', worker process id, description as JSON, ms after which a silent process is forgotten, then its queues
-- replies: {now, order ('' none | quiet | stop), epoch}
-- cost: O(log processes + forgotten)
-- holds: nothing of this is needed for jobs to run.

local now = now_ms(ARGV[1])
local process, description, silence = ARGV[2], ARGV[3], tonumber(ARGV[4])
local FIRST, FORGET_AT_ONCE = 5, 100

-- Redis lets a script that has written go on when memory is full, and this write changes nothing.
call('ZREM', seen, '')
call('SADD', queues, unpack(ARGV, FIRST))

local gone = call('ZRANGEBYSCORE', seen, '-inf', now - silence, 'LIMIT', 0, FORGET_AT_ONCE)
if #gone > 0 then
  call('ZREM', seen, unpack(gone))
  call('HDEL', about, unpack(gone))
  call('HDEL', orders, unpack(gone))
end
call('ZADD', seen, now, process)
call('HSET', about, process, description)
return { now, call('HGET', orders, process) or '', call('GET', epoch) or '' }
