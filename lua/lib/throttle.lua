-- The throttle of a function counts the first start of each of its runs and no other: once that lease has ended, the lane of
-- the run is without the key, so that one that slept or is tried again waits for nothing. `THROTTLE` of start.rs is its name.

-- Takes the key out of the lane of a run that goes on, and returns its record. The lease must have been freed before.
local function unthrottle(id, record)
  local lane, ends = lane_of(record)
  local first, last = string.find('\n' .. (lane or '') .. '\n', '\nfn/throttle=[^\n]*\n')
  if not first then
    return record
  end
  local rest = sub(lane, 1, math.max(first - 2, 0)) .. sub(lane, first == 1 and last or last - 1)
  local order = has_flag(record, ORDERED) and TIME_LENGTH or 0
  local before = ends - order - #lane - 1
  local flags, keys = byte(record, 3), string.char(#rest) .. rest
  if rest == '' then
    flags, keys = flags - KEYED, ''
  end
  record = sub(record, 1, 2) .. string.char(flags) .. sub(record, 4, before) .. keys .. sub(record, ends - order + 1)
  call('HSET', jobs, id, record)
  return record
end
