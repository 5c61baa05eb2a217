-- Deletes all that is kept about jobs, once they are in no list or set any more.
--
-- Journals can be long, so a call of a script deletes few of them: who has more to forget asks first how far it may go.

-- Fewer than fit on Lua's stack in one command.
local FIELDS_AT_ONCE = 5000
-- Entries of journals after which a call leaves the rest to the next one.
local ENTRIES_AT_ONCE = 5000
local entries_left = ENTRIES_AT_ONCE

-- How many of these jobs, from the first on, this call may forget yet. Of those it is asked about first, one at least: a journal that
-- is longer must go too.
local function forgettable(ids)
  if #ids == 0 then
    return 0
  end
  for i, entries in ipairs(call('HMGET', steps, unpack(ids))) do
    if entries_left <= 0 then
      return i - 1
    end
    entries_left = entries_left - tonumber(entries or 0)
  end
  return #ids
end

-- The journals of those that are runs: see lib/journal.lua.
local function forget_journals(ids)
  local fields = {}
  for i, entries in ipairs(call('HMGET', steps, unpack(ids))) do
    for number = 1, tonumber(entries or 0) do
      local field = ids[i] .. '.' .. number
      fields[#fields + 1] = field
      fields[#fields + 1] = field .. '.open'
      if #fields >= FIELDS_AT_ONCE then
        call('HDEL', journal, unpack(fields))
        fields = {}
      end
    end
  end
  if #fields > 0 then
    call('HDEL', journal, unpack(fields))
  end
  call('HDEL', steps, unpack(ids))
end

local function forget(ids)
  if #ids == 0 then
    return
  end
  call('HDEL', jobs, unpack(ids))
  if call('EXISTS', tries, failures, progress, logs, steps) > 0 then
    call('HDEL', tries, unpack(ids))
    call('HDEL', failures, unpack(ids))
    call('HDEL', progress, unpack(ids))
    call('HDEL', logs, unpack(ids))
    if call('EXISTS', steps) == 1 then
      forget_journals(ids)
    end
  end
end
