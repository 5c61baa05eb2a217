-- The head of a job record, the only part scripts read: version, priority, flags, then the unique key and the lane, each if
-- a flag says so.
-- Written by `record.rs`. A record that is too short to have a head, which no release writes, is plain: whoever runs it finds
-- that it cannot be read, and buries it.

local PLAIN_PRIORITY = 5
local UNIQUE_UNTIL_STARTED, UNIQUE_UNTIL_FINISHED, UNIQUE_WINDOW, EXPIRES, KEYED, TELLS = 1, 2, 4, 8, 64, 128

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

-- The lane of a job with keys, nil for one without; and how many bytes come before the time at which it was enqueued.
local function lane_of(record)
  local length = 3
  if has_flag(record, UNIQUE_UNTIL_STARTED + UNIQUE_UNTIL_FINISHED + UNIQUE_WINDOW) then
    length = 4 + (byte(record, 4) or 0)
  end
  if not has_flag(record, KEYED) then
    return nil, length
  end
  local ends = length + 1 + (byte(record, length + 1) or 0)
  local lane = sub(record, length + 2, ends)
  -- What no producer writes is none.
  if lane == '' or string.find(lane, '\0', 1, true) then
    lane = nil
  end
  return lane, ends
end
