-- Looks back for an event a run may have been waiting for, and if there is none keeps the wait: in one step, so that an event
-- is either in the log by now or finds the wait.
--
-- keys: recent bodies seen fields waits waiting lapsing facts
-- uses: clock recent waits
-- argv: now or '', who waits, field its condition is indexed by, term, the wait, since when it looks back in ms, until when it waits
--       in ms, place up to which the caller has looked at events of the term, place up to which it has looked at all, most to answer
-- replies: {now, 'kept'}; {now, 'look', place, body, …} events from before the field was indexed; {now, 'check', place, body, …} events
--          with the term: to be looked at by the caller, which calls again if none is meant; {now, 'crowded'} too many fields
-- cost: O(log n + answered)
-- holds: a wait is kept once; a repeated call changes nothing.

local now, ref, field, term, wait = now_ms(ARGV[1]), ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local since, lapses, looked, looked_at_all, most =
  tonumber(ARGV[6]), ARGV[7], tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10])
-- Clocks of the nodes of a cluster may differ by this, in microseconds: an event may be in the log before it came.
local SLACK, MOST_FIELDS, LAPSED_AT_ONCE = 5000000, 64, 50

if call('HEXISTS', waits, ref) == 1 then
  return { now, 'kept' }
end

local indexed_from = call('HGET', fields, field)
if not indexed_from then
  if call('HLEN', fields) >= MOST_FIELDS then
    return { now, 'crowded' }
  end
  -- The place is used up, so that every event behind it carries the field's term.
  indexed_from = place_text(math.max(now * 1000, tonumber(call('HGET', facts, 'last') or 0) + 1))
  call('HSET', facts, 'last', indexed_from)
  call('HSET', fields, field, indexed_from)
end

local function answer(code, entries)
  table.insert(entries, 1, code)
  table.insert(entries, 1, now)
  return entries
end

local from = since * 1000 - SLACK
local entries = {}
if math.max(from, looked_at_all) < tonumber(indexed_from) then
  local before = call('ZRANGEBYSCORE', recent, place_text(math.max(from, looked_at_all + 1)), indexed_from,
    'WITHSCORES', 'LIMIT', 0, most)
  for i = 1, #before, 2 do
    entries[#entries + 1] = before[i + 1]
    entries[#entries + 1] = call('HGET', bodies, before[i]) or ''
  end
  if #entries > 0 then
    return answer('look', entries)
  end
end

local first = '[' .. term .. ' ' .. place_text(math.max(from, looked + 1))
for _, member in ipairs(call('ZRANGEBYLEX', seen, first, '(' .. term .. '!', 'LIMIT', 0, most)) do
  local place, key = match(member, '^%S+ (%S+) (%S+)$')
  entries[#entries + 1] = place
  entries[#entries + 1] = call('HGET', bodies, key) or ''
end
if #entries > 0 then
  return answer('check', entries)
end

drop_lapsed_waits(now, LAPSED_AT_ONCE)
call('HSET', waits, ref, wait)
call('ZADD', waiting, 0, term .. ' ' .. ref)
call('ZADD', lapsing, lapses, ref)
return { now, 'kept' }
