-- Writes a schedule down, if it is still as the caller read it.
--
-- keys: definitions states due declared retired
-- uses: clock
-- argv: now or '', name, state as it was read ('' there was none), definition, state, when somebody must look at it in ms or ''
--       (not before it is changed), '1' if code declares it
-- replies: {now, code}; code: ok | stale (it was changed meanwhile)
-- cost: O(log schedules)
-- holds: of two who read the same state one sets it; a schedule set by hand is never retired.

local now = now_ms(ARGV[1])
local name, as_read, definition, following, look_at, by_code =
  ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7] == '1'

local state = call('HGET', states, name) or ''
if state == following and call('HGET', definitions, name) == definition then
  return { now, 'ok' }
end
if state ~= as_read then
  return { now, 'stale' }
end
call('HSET', definitions, name, definition)
call('HSET', states, name, following)
call('ZREM', retired, name)
if by_code then
  call('ZADD', declared, now, name)
else
  call('ZREM', declared, name)
end
if look_at == '' then
  call('ZREM', due, name)
else
  call('ZADD', due, look_at, name)
end
return { now, 'ok' }
