-- Hands out schedules that somebody must look at, each to one caller for a while; keeps note of which are declared, and retires
-- those that no longer are.
--
-- keys: definitions states due declared retired
-- uses: clock
-- argv: now or '', ms for which what is handed out is not handed out again, the most to hand out, ms without a word after which
--       a declared schedule is retired or '' (none is), ms after which a retired one is forgotten, then names to declare
-- replies: {now, per schedule handed out: {name, definition, state}, when the first of the others is due or -1}
-- cost: O((names + handed out) · log schedules)
-- holds: a schedule with a next time is in `due`; a caller that dies has its schedules handed out again; a retired schedule keeps
--        its state, and comes back with it when it is declared again.

local now = now_ms(ARGV[1])
local claim, most, silence, memory = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local FIRST, AT_ONCE = 6, 100

for at = FIRST, #ARGV do
  local name = ARGV[at]
  if call('ZREM', retired, name) == 1 then
    call('ZADD', declared, now, name)
    call('ZADD', due, now, name)
  else
    -- Only what code has set is here: a schedule set by hand is not retired.
    call('ZADD', declared, 'XX', now, name)
  end
end

if silence then
  for _, name in ipairs(call('ZRANGEBYSCORE', declared, '-inf', now - silence, 'LIMIT', 0, AT_ONCE)) do
    call('ZREM', declared, name)
    call('ZREM', due, name)
    call('ZADD', retired, now, name)
  end
  local forgotten = call('ZRANGEBYSCORE', retired, '-inf', now - memory, 'LIMIT', 0, AT_ONCE)
  if #forgotten > 0 then
    call('ZREM', retired, unpack(forgotten))
    call('HDEL', definitions, unpack(forgotten))
    call('HDEL', states, unpack(forgotten))
  end
end

local handed_out = {}
for _, name in ipairs(call('ZRANGEBYSCORE', due, '-inf', now, 'LIMIT', 0, most)) do
  local definition, state = call('HGET', definitions, name), call('HGET', states, name)
  if definition and state then
    call('ZADD', due, now + claim, name)
    handed_out[#handed_out + 1] = { name, definition, state }
  else
    call('ZREM', due, name)
  end
end

local first = call('ZRANGE', due, 0, 0, 'WITHSCORES')
return { now, handed_out, first[2] and tonumber(first[2]) or -1 }
