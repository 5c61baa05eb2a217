-- Journals of runs: `steps` says how many entries a run has, entry n is kept in `journal` as `<run>.<n>`. An entry that waits
-- for something from outside is open: `<run>.<n>.open` is there. Entries are added, never changed.

local function count_of_entries(run)
  return tonumber(call('HGET', steps, run) or 0)
end

local function append_entry(run, number, entry, opens)
  local field = run .. '.' .. number
  call('HSET', journal, field, entry)
  if opens then
    call('HSET', journal, field .. '.open', '')
  end
  call('HSET', steps, run, number)
end

-- Whether the entry was open; now it is not.
local function close_entry(run, number)
  return call('HDEL', journal, run .. '.' .. number .. '.open') == 1
end
