-- The head of a job record, the only part scripts read: version, priority, flags, then the unique key if a flag says so.
-- Written by `record.rs`. A record that is too short to have a head, which no release writes, is plain: whoever runs it finds
-- that it cannot be read, and buries it.

local PLAIN_PRIORITY = 5
local UNIQUE_UNTIL_STARTED, UNIQUE_UNTIL_FINISHED, UNIQUE_WINDOW, EXPIRES = 1, 2, 4, 8

local function priority_of(record)
  return byte(record, 2) or PLAIN_PRIORITY
end

local function has_flag(record, flag)
  local flags = byte(record, 3) or 0
  return flags ~= 0 and bit.band(flags, flag) ~= 0
end

local function unique_key_of(record)
  return sub(record, 5, 4 + (byte(record, 4) or 0))
end
