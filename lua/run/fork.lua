-- Starts a run over from some step: a new run, whose journal begins with copies of entries of another's.
--
-- keys: meta jobs ready ranked withdrawn laned places lanes ring parked steps journal unique windows wake
-- uses: lane clock record wake ready unique windows
-- argv: now or '', the other run, id of the new one, its record, then per entry: its number in the other journal, text it
--       has instead or ''
-- replies: {now, code}; code: ok | exists (there is such a run: its reply was lost) | gone (the other run, or an entry
--          of it, is not there) | held <id> (its unique key is taken)
-- cost: O(entries); O(log n) for a run with a priority or keys
-- holds: run and journal are there together or not at all; the other run is left as it is; repeated, nothing changes.

local now = now_ms(ARGV[1])
local origin, run, record = ARGV[2], ARGV[3], ARGV[4]
local FIRST, FIELDS, ENTRIES_AT_ONCE = 5, 2, 1000

if call('HEXISTS', jobs, run) == 1 then
  return { now, 'exists' }
end
if call('HEXISTS', jobs, origin) == 0 then
  return { now, 'gone' }
end
local key = has_flag(record, UNIQUE_UNTIL_STARTED + UNIQUE_UNTIL_FINISHED) and unique_key_of(record)
local holder = key and holder_of(key, now)
if holder then
  return { now, 'held ' .. holder }
end

-- Field and text of each entry of the new journal, in portions that one command takes.
local portions, count = {}, 0
for from = FIRST, #ARGV, FIELDS * ENTRIES_AT_ONCE do
  local to = math.min(from + FIELDS * ENTRIES_AT_ONCE - 1, #ARGV)
  local fields, portion = {}, {}
  for at = from, to, FIELDS do
    fields[#fields + 1] = origin .. '.' .. ARGV[at]
  end
  for i, text in ipairs(call('HMGET', journal, unpack(fields))) do
    if not text then
      return { now, 'gone' }
    end
    count = count + 1
    local instead = ARGV[from + FIELDS * (i - 1) + 1]
    portion[2 * i - 1], portion[2 * i] = run .. '.' .. count, instead ~= '' and instead or text
  end
  portions[#portions + 1] = portion
end

call('HSET', jobs, run, record)
if key then
  take_key(key, run, now)
end
for _, portion in ipairs(portions) do
  call('HSET', journal, unpack(portion))
end
if count > 0 then
  call('HSET', steps, run, count)
end
if push_ready(run, record, false) then
  wake_one()
end
return { now, 'ok' }
