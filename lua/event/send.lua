-- Keeps events: those that are due go into the stream, those of the future wait for their time.
--
-- keys: stream events future own owned started
-- uses: clock
-- argv: now or '', ms for which an own id is not taken again, then per event: key (made by the sender, unlike any other), own id
--       or '' if the key is its id, name, record, when it is due in ms or '' for now
-- replies: {now, per event: '' kept, by this call or by one it repeats; 'duplicate' its own id is taken}
-- cost: O(events); O(log future) for each of the future
-- holds: an event is kept once however often it is sent within a minute, as the history keeps all that is younger, or a day with an
--        own id; a full Redis changes nothing.

local now, own_for = now_ms(ARGV[1]), tonumber(ARGV[2])
local FIRST, FIELDS = 3, 5
local waiting = {}

-- An own id is free again once its time is over, but not before its event has been routed.
local function is_taken(id, holder)
  local free_at = call('ZSCORE', owned, id)
  return (free_at and tonumber(free_at) > now)
    or (call('HEXISTS', events, holder) == 1 and call('HEXISTS', started, holder) == 0)
end

local function keep(key, own_id, name, record, due)
  if own_id ~= '' then
    local holder = call('HGET', own, own_id)
    if holder == key then
      return ''
    end
    if holder and is_taken(own_id, holder) then
      return 'duplicate'
    end
    call('HSET', own, own_id, key)
    call('ZADD', owned, now + own_for, own_id)
  end
  if call('HSETNX', events, key, record) == 0 then
    return ''
  end
  if due ~= '' and tonumber(due) > now then
    local member = key .. ' ' .. name .. ' ' .. own_id
    call('ZADD', future, due, member)
    waiting[member] = true
  elseif own_id ~= '' then
    call('XADD', stream, '*', 'key', key, 'name', name, 'own', own_id)
  else
    call('XADD', stream, '*', 'key', key, 'name', name)
  end
  return ''
end

local outcomes = {}
for at = FIRST, #ARGV, FIELDS do
  outcomes[#outcomes + 1] = keep(ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4])
end
local first = call('ZRANGE', future, 0, 0, 'WITHSCORES')
if first[1] and waiting[first[1]] then
  -- Some router is told that it has to be awake sooner.
  call('XADD', stream, '*', 'due', first[2])
end
return { now, outcomes }
