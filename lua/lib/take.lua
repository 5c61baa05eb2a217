-- Taking ready jobs to run them: priorities before and after the plain ones, without what was withdrawn or has expired.

-- Beyond what is asked for, entries that come to nothing are skipped up to this many.
local POP_AT_MOST = 2000
-- Once the records of one call have so many bytes no more are taken: a link that is slow must carry them in time.
local MOST_BYTES = 4 * 1024 * 1024
-- How large records are is not known before they are read: a few come first, and then at most so many times as many as before.
local FIRST_AT_ONCE, GROWTH = 8, 4

-- How many jobs to look at next if `room` more are asked for, and the records of those so far have so many bytes.
local function portion(room, so_far, bytes)
  if room == 0 or bytes >= MOST_BYTES then
    return 0
  elseif so_far == 0 then
    return math.min(room, FIRST_AT_ONCE)
  end
  local fitting = math.max(1, math.floor((MOST_BYTES - bytes) * so_far / math.max(bytes, 1)))
  return math.min(room, GROWTH * so_far, fitting)
end

local function bytes_of(records)
  local bytes = 0
  for i = 1, #records do
    bytes = bytes + #records[i]
  end
  return bytes
end

-- Takes up to `room` ids off what is ready, in the order they are to run.
local function take(room)
  local taken = call('ZRANGEBYSCORE', ranked, '-inf', PLAIN_PRIORITY * RANK_SPAN, 'LIMIT', 0, room)
  if #taken > 0 then
    call('ZREM', ranked, unpack(taken))
  end
  local popped = 0
  while #taken < room and popped < POP_AT_MOST do
    local plain = call('LPOP', ready, room - #taken)
    if not plain then
      break
    end
    popped = popped + #plain
    if #taken == 0 and call('EXISTS', withdrawn) == 0 then
      taken = plain
    else
      local marks, skipped = call('HMGET', withdrawn, unpack(plain)), {}
      for i, id in ipairs(plain) do
        -- A mark stands for one entry, the older: the same job may be in the list a second time.
        if marks[i] and not skipped[id] then
          skipped[id] = true
          call('HDEL', withdrawn, id)
        else
          taken[#taken + 1] = id
        end
      end
    end
  end
  if #taken < room then
    for i, member in ipairs(call('ZPOPMIN', ranked, room - #taken)) do
      if i % 2 == 1 then
        taken[#taken + 1] = member
      end
    end
  end
  return taken
end

-- Leaves out what has no record or has expired, and lets go of unique keys held until now. A job with keys that does not come
-- from its lane, which only a release without lanes can have done, is put there.
local function fit_to_run(taken, found, now, keep_dead, from_lanes)
  local plain = true
  for i = 1, #taken do
    local record = found[i]
    if not record or byte(record, 3) ~= 0 then
      plain = false
      break
    end
  end
  if plain then
    return taken, found
  end
  local leases, records = {}, {}
  for i, id in ipairs(taken) do
    local record = found[i]
    if record then
      release_unique(id, record, UNIQUE_UNTIL_STARTED)
    end
    if record and has_flag(record, EXPIRES) then
      local expiry = call('ZSCORE', expiring, id)
      call('ZREM', expiring, id)
      if expiry and tonumber(expiry) <= now then
        dead_letter(id, record, expiry_failure(now), now, keep_dead)
        record = false
      end
    end
    if record and not from_lanes and lane_of(record) then
      push_ready(id, record, false)
      record = false
    end
    if record then
      leases[#leases + 1] = id
      records[#records + 1] = record
    end
  end
  return leases, records
end

-- Takes up to `room` jobs to run, with their records.
local function take_to_run(room, now, keep_dead)
  local leases, records, bytes, in_vain = {}, {}, 0, 0
  while in_vain < POP_AT_MOST do
    local wanted = portion(room - #leases, #leases + in_vain, bytes)
    local taken = wanted > 0 and take(wanted) or {}
    if #taken == 0 then
      break
    end
    local fit, found = fit_to_run(taken, call('HMGET', jobs, unpack(taken)), now, keep_dead)
    bytes = bytes + bytes_of(found)
    if #leases == 0 then
      leases, records = fit, found
    else
      for i = 1, #fit do
        leases[#leases + 1] = fit[i]
        records[#records + 1] = found[i]
      end
    end
    -- What was left out takes no place from those behind it.
    if #taken < wanted and #fit == #taken then
      break
    end
    in_vain = in_vain + #taken - #fit
  end
  return leases, records
end
