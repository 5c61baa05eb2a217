-- The head of a job record, the only part scripts read: version, priority, flags, then the unique key, the lane and the
-- time it is ordered by, each if a flag says so.
-- Written by `record.rs`. A record that is too short to have a head, which no release writes, is plain: whoever runs it finds
-- that it cannot be read, and buries it.

local PLAIN_PRIORITY = 5
local UNIQUE_UNTIL_STARTED, UNIQUE_UNTIL_FINISHED, UNIQUE_WINDOW = 1, 2, 4
local EXPIRES, ORDERED, KEYED, TELLS = 8, 32, 64, 128
local TIME_LENGTH = 6

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
  local order = has_flag(record, ORDERED) and TIME_LENGTH or 0
  if not has_flag(record, KEYED) then
    return nil, length + order
  end
  local ends = length + 1 + (byte(record, length + 1) or 0)
  local lane = sub(record, length + 2, ends)
  -- What no producer writes is none.
  if lane == '' or string.find(lane, '\0', 1, true) then
    lane = nil
  end
  return lane, ends + order
end

-- The time that the record has after this many bytes, in ms since the epoch.
local function time_at(record, at)
  local time = 0
  for i = at + 1, at + TIME_LENGTH do
    time = time * 256 + (byte(record, i) or 0)
  end
  return time
end

-- The time a job is ordered by among others of its priority, nil for one that goes by when it became ready.
local function order_of(record)
  if has_flag(record, ORDERED) then
    local _, ends = lane_of(record)
    return time_at(record, ends - TIME_LENGTH)
  end
end
