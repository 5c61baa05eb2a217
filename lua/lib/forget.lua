-- Deletes all that is kept about jobs, once they are in no list or set any more.

-- Fewer than fit on Lua's stack in one command.
local FIELDS_AT_ONCE = 5000

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
