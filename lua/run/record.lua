-- Writes what runs have done into their journals, as long as the lease under which it was done is held.
--
-- keys: meta leased tries journal steps
-- uses: memory journal
-- argv: per run: run, token, how many entries the worker knows, count of entries, then per entry: number of the open entry it
--       closes or '', '1' if it is open itself, entry
-- replies: {per run: {code, entries there were before, {those of them that the worker did not know},
--          {per entry: its number, or 0 for one whose open entry was closed by somebody else}}}
--          code: ok | lost (the lease is, or entries that the worker knows: Redis came back without the last it had
--          acknowledged)
-- cost: O(entries), and those the worker did not know; few commands however many runs
-- holds: a run that moved to another worker cannot be written by the old one, nor by one that knows more than there is;
--        repeated, or late, nothing is written twice; an open entry is closed once; a run that goes on has no failures or crashes
--        against it any more.

local FIRST, RUN_FIELDS, ENTRY_FIELDS, MOST_WRITTEN, MOST_READ = 1, 4, 3, 4000, 1000

write_despite_full_memory()

-- The entries after the first `known`, and where each stands; read in pieces that fit on Lua's stack.
local function unknown_entries(run, known, count)
  local texts, places = {}, {}
  for first = known + 1, count, MOST_READ do
    local fields = {}
    for number = first, math.min(first + MOST_READ - 1, count) do
      fields[#fields + 1] = run .. '.' .. number
    end
    for i, text in ipairs(call('HMGET', journal, unpack(fields))) do
      texts[#texts + 1] = text
      places[text] = first + i - 1
    end
  end
  return texts, places
end

-- Where each run's part of ARGV begins, and what Redis knows of the runs: read at once.
local parts, runs = {}, {}
local at = FIRST
while at <= #ARGV do
  parts[#parts + 1], runs[#runs + 1] = at, ARGV[at]
  at = at + RUN_FIELDS + ENTRY_FIELDS * ARGV[at + 3]
end
local tokens, known_counts, counts = call('HMGET', leased, unpack(runs)), call('HMGET', steps, unpack(runs)), {}
for i, run in ipairs(runs) do
  counts[run] = tonumber(known_counts[i] or 0)
end

-- Written at once, in pieces that fit on Lua's stack.
local written, gone_on = {}, {}
local function keep_written()
  if #written > 0 then
    call('HSET', journal, unpack(written))
    written = {}
  end
end

local function append(run, number, text, opens)
  local field = run .. '.' .. number
  written[#written + 1], written[#written + 2] = field, text
  if opens then
    written[#written + 1], written[#written + 2] = field .. '.open', ''
  end
  if #written >= MOST_WRITTEN then
    keep_written()
  end
end

local replies = {}
for i, run in ipairs(runs) do
  local part = parts[i]
  local token, known = ARGV[part + 1], tonumber(ARGV[part + 2])
  local first = part + RUN_FIELDS
  local last = first + ENTRY_FIELDS * ARGV[part + 3] - 1
  if tokens[i] ~= token or known > counts[run] then
    replies[i] = { 'lost', 0, {}, {} }
  else
    local before = counts[run]
    local texts, places = unknown_entries(run, known, before)
    local count, numbers = before, {}
    for entry = first, last, ENTRY_FIELDS do
      local closes, opens, text = ARGV[entry], ARGV[entry + 1] == '1', ARGV[entry + 2]
      local place = places[text]
      if place then
        numbers[#numbers + 1] = place
      elseif closes ~= '' and not close_entry(run, closes) then
        numbers[#numbers + 1] = 0
      else
        count = count + 1
        append(run, count, text, opens)
        numbers[#numbers + 1] = count
      end
    end
    counts[run] = count
    gone_on[#gone_on + 1] = run
    replies[i] = { 'ok', before, texts, numbers }
  end
end

keep_written()
if #gone_on > 0 then
  local numbered = {}
  for _, run in ipairs(gone_on) do
    numbered[#numbered + 1], numbered[#numbered + 2] = run, counts[run]
  end
  call('HSET', steps, unpack(numbered))
  if call('EXISTS', tries) == 1 then
    call('HDEL', tries, unpack(gone_on))
  end
end
return replies
