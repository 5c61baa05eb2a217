-- Writes what runs have done into their journals, as long as the lease under which it was done is held.
--
-- keys: meta leased tries journal steps
-- uses: memory journal
-- argv: per run: run, token, how many entries the worker knows, '1' if this may have been written before, count of entries, then
--       per entry: number of the open entry it closes or '', '1' if it is open itself, entry
-- replies: {per run: {code, entries there were before, {those of them that the worker did not know},
--          {per entry: its number, or 0 for one whose open entry was closed by somebody else}}}
--          code: ok | lost (the lease is)
-- cost: O(entries), and those the worker did not know
-- holds: a run that moved to another worker cannot be written by the old one; repeated with '1', nothing is written twice;
--        an open entry is closed once; a run that goes on has no failures or crashes against it any more.

local FIRST, RUN_FIELDS, ENTRY_FIELDS = 1, 5, 3

write_despite_full_memory()

-- The entries after the first `known`, and where each stands.
local function unknown_entries(run, known, count)
  local fields = {}
  for number = known + 1, count do
    fields[#fields + 1] = run .. '.' .. number
  end
  local texts = #fields > 0 and call('HMGET', journal, unpack(fields)) or {}
  local places = {}
  for i, text in ipairs(texts) do
    places[text] = known + i
  end
  return texts, places
end

local replies = {}
local at = FIRST
while at <= #ARGV do
  local run, token, known, again = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2]), ARGV[at + 3] == '1'
  local first = at + RUN_FIELDS
  local last = first + ENTRY_FIELDS * ARGV[at + 4] - 1
  if call('HGET', leased, run) ~= token then
    replies[#replies + 1] = { 'lost', 0, {}, {} }
  else
    local before = count_of_entries(run)
    local texts, places = unknown_entries(run, known, before)
    local count, numbers = before, {}
    for entry = first, last, ENTRY_FIELDS do
      local closes, opens, text = ARGV[entry], ARGV[entry + 1] == '1', ARGV[entry + 2]
      local place = again and places[text]
      if place then
        numbers[#numbers + 1] = place
      elseif closes ~= '' and not close_entry(run, closes) then
        numbers[#numbers + 1] = 0
      else
        count = count + 1
        append_entry(run, count, text, opens)
        numbers[#numbers + 1] = count
      end
    end
    call('HDEL', tries, run)
    replies[#replies + 1] = { 'ok', before, texts, numbers }
  end
  at = last + 1
end
return replies
