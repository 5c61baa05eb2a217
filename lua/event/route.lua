-- Adds events to the recent ones of their name, and finds the waits that each of them may end: in one step, so that whoever
-- begins to wait either finds the event here or is found by it.
--
-- keys: recent bodies seen fields waits waiting lapsing facts
-- uses: clock recent waits
-- argv: now or '', recent events kept, ms for which they are kept, bytes they may have, most waits to answer for a term, number
--       of fields, the fields, then per event: key, when it came in ms, record, its term for each field ('' without)
-- replies: {now, 'ok', per event: {per field: {more ('1' or ''), who waits, the wait, …}}}, or {now, 'fields', fields by which waits are
--          indexed} if the caller left one out; nothing was changed then
-- cost: O((events + trimmed) · fields · log n + waits found)
-- holds: an event is in the log once, however often it is routed.

local now = now_ms(ARGV[1])
local keep, keep_ms, keep_bytes, most, width =
  tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local FIRST_FIELD = 7
local FIRST, FIELDS, LAPSED_AT_ONCE = FIRST_FIELD + width, 3 + width, 50

local told = {}
for at = FIRST_FIELD, FIRST - 1 do
  told[ARGV[at]] = true
end
local in_use = call('HKEYS', fields)
for _, field in ipairs(in_use) do
  if not told[field] then
    return { now, 'fields', in_use }
  end
end

local last = tonumber(call('HGET', facts, 'last') or 0)
local added, size = 0, 0

local function append(key, came, record, first_term)
  if call('ZSCORE', recent, key) then
    return
  end
  last = math.max(now * 1000, last + 1)
  local place, terms, members = place_text(last), {}, {}
  for at = first_term, first_term + width - 1 do
    if ARGV[at] ~= '' then
      terms[#terms + 1] = ARGV[at]
      members[#members + 1] = 0
      members[#members + 1] = seen_as(ARGV[at], place, key)
    end
  end
  local body = table.concat(terms, ' ') .. '\n' .. came .. '\n' .. record
  call('ZADD', recent, place, key)
  call('HSET', bodies, key, body)
  if #members > 0 then
    call('ZADD', seen, unpack(members))
  end
  added, size = added + 1, size + #body
end

drop_lapsed_waits(now, LAPSED_AT_ONCE)
local found = {}
for at = FIRST, #ARGV, FIELDS do
  append(ARGV[at], ARGV[at + 1], ARGV[at + 2], at + 3)
  local by_field = {}
  for i = 1, width do
    local term = ARGV[at + 2 + i]
    local waits_found, more = {}, false
    if term ~= '' then
      waits_found, more = waits_of(term, '', most)
    end
    table.insert(waits_found, 1, more and '1' or '')
    by_field[i] = waits_found
  end
  found[#found + 1] = by_field
end

if added > 0 then
  call('HSET', facts, 'last', place_text(last))
  call('HINCRBY', facts, 'bytes', size)
  trim_recent(now, keep, keep_ms, keep_bytes, 2 * added + 10)
end
return { now, 'ok', found }
