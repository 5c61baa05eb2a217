-- Repairs what must not exist: records in no state, ids without a record, counts that disagree with the leases, lanes that
-- stand nowhere.
-- The caller finds suspects when the numbers of `stats` do not add up; each is judged again here.
--
-- keys: meta jobs ready ranked withdrawn laned places lanes ring parked flow scheduled leased workers held ended completed cancelled dead tries failures progress logs steps journal unique expiring wake outbox watched
-- uses: lane clock record wake ready unique forget finish locate
-- argv: kind (record | unlisted | holder | flow), then ids or worker ids
--       record: ids that may be in no state; unlisted: ids that may have no record; holder: workers whose count may be off;
--       flow: cursor, '0' at first: keys of jobs that run, and one page of the others, are counted anew; with the
--       first, ms since such a call last began below which this one does not, or nothing
-- replies: {repaired, cursor of the next page of flow, '0' at the end, or if somebody has just begun}
-- cost: O(ids · n) for records, as the ready list must be searched; only ever run on a queue that is already wrong. O(leases + page)
--       for flow, and O(n) if lanes are wrong
-- holds: what is in order is left as it is.

local kind = ARGV[1]
local FIRST = 2
local repaired = 0

local function repair_record(id)
  local state, _, record = locate(id)
  local place = call('HGET', places, id)
  if state ~= 'ready' or (place and call('ZSCORE', laned, place .. id))
    or call('ZSCORE', ranked, id) or call('LPOS', ready, id) then
    return 0
  end
  call('HDEL', withdrawn, id)
  call('HDEL', places, id)
  push_ready(id, record, false)
  wake_one()
  return 1
end

local function repair_unlisted(id)
  if call('HEXISTS', jobs, id) == 1 then
    return 0
  end
  local found = call('LREM', ready, 0, id) + call('ZREM', ranked, id) + call('ZREM', scheduled, id)
    + call('ZREM', dead, id) + call('LREM', completed, 0, id) + call('LREM', cancelled, 0, id)
    + call('HDEL', withdrawn, id) + call('HDEL', ended, id)
  local place = call('HGET', places, id)
  if place then
    if in_lanes().withdraw(id, sub(place, 1, #place - ORDER_LENGTH - 1)) then
      wake_one()
    end
    found = found + 1
  end
  local token = call('HGET', leased, id)
  if token then
    call('HDEL', leased, id)
    call('HINCRBY', held, match(token, '^[^.]+'), -1)
    found = found + 1
  end
  return math.min(found, 1)
end

local function repair_holder(worker, count)
  if call('ZSCORE', workers, worker) then
    if tonumber(call('HGET', held, worker) or -1) ~= count then
      call('HSET', held, worker, count)
      return 1
    end
  elseif count > 0 then
    -- Leases under no entry: make it one that has run out, for a reaper to find.
    call('ZADD', workers, 0, worker)
    call('HSET', held, worker, count)
    return 1
  else
    return call('HDEL', held, worker)
  end
  return 0
end

local PAGE, FLOW_AT_ONCE = 500, 2000

-- Running jobs by key, counted by the leases.
local function count_running()
  local counts, ids = {}, call('HKEYS', leased)
  for first = 1, #ids, PAGE do
    for _, record in ipairs(call('HMGET', jobs, unpack(ids, first, math.min(first + PAGE - 1, #ids)))) do
      for _, key in ipairs(in_lanes().keys_of(record and lane_of(record) or '')) do
        counts[key] = (counts[key] or 0) + 1
      end
    end
  end
  return counts
end

-- Puts the counts of keys right. Lanes that wait for such a key are looked at again.
local function repair_running(cursor)
  local counts, wrong = cursor == '0' and count_running(), 0
  local function judge(key, state)
    local count, rest = match(state or '', '^(%S+)( .*)$')
    counts = counts or count_running()
    local running = counts[key] or 0
    if (tonumber(count) or 0) ~= running then
      call('HSET', flow, key, running .. (rest or ' 0 0 0 0'))
      wrong = wrong + 1
      if in_lanes().unpark(key, PAGE) > 0 then
        wake_one()
      end
    end
  end
  if cursor == '0' then
    for key in pairs(counts) do
      judge(key, call('HGET', flow, key))
    end
  end
  -- Those that run are judged by now, so one that is said not to is right. That is also what windows and batches of functions say,
  -- which are there too and can be many.
  local page = call('HSCAN', flow, cursor, 'COUNT', FLOW_AT_ONCE)
  for i = 1, #page[2], 2 do
    if sub(page[2][i + 1], 1, 2) ~= '0 ' then
      judge(page[2][i], page[2][i + 1])
    end
  end
  return wrong, page[1]
end

-- Every lane with ready jobs stands in one place, and every such job has one; if not, all lanes are put into the ring.
local function repair_lanes()
  local stands = call('ZCARD', ring) - (call('ZSCORE', ring, '') and 1 or 0) + call('ZCARD', parked)
  if call('ZCARD', laned) == call('HLEN', places) and call('HLEN', lanes) == stands then
    return 0
  end
  call('DEL', places, lanes, ring, parked)
  local from = 0
  repeat
    local members = call('ZRANGE', laned, from, from + PAGE - 1)
    for _, member in ipairs(members) do
      local lane = match(member, '^[^%z]*')
      local head = #lane + 1 + ORDER_LENGTH
      if call('HSETNX', places, sub(member, head + 1), sub(member, 1, head)) == 0 then
        call('ZREM', laned, member)
        from = from - 1
      elseif call('HSETNX', lanes, lane, '') == 1 then
        call('ZADD', ring, in_lanes().next_turns(1), lane)
      end
    end
    from = from + PAGE
  until #members < PAGE
  wake_one()
  return 1
end

-- Whether another has just begun to count; if not, this call does.
local function is_being_counted(spacing)
  local now = now_ms('')
  local since = now - tonumber(call('HGET', meta, 'recounted_at') or -math.huge)
  -- A time to come is one of before Redis' clock went back.
  if since >= 0 and since < spacing then
    return true
  end
  call('HSET', meta, 'recounted_at', format('%.0f', now))
  return false
end

if kind == 'flow' then
  local cursor = ARGV[FIRST]
  if ARGV[FIRST + 1] and is_being_counted(tonumber(ARGV[FIRST + 1])) then
    return { 0, '0' }
  end
  local wrong, next_cursor = repair_running(cursor)
  return { wrong + (cursor == '0' and repair_lanes() or 0), next_cursor }
elseif kind == 'holder' then
  local counts = {}
  for _, token in ipairs(call('HVALS', leased)) do
    local worker = match(token, '^[^.]+')
    counts[worker] = (counts[worker] or 0) + 1
  end
  for at = FIRST, #ARGV do
    repaired = repaired + repair_holder(ARGV[at], counts[ARGV[at]] or 0)
  end
else
  for at = FIRST, #ARGV do
    repaired = repaired + (kind == 'record' and repair_record or repair_unlisted)(ARGV[at])
  end
end
return { repaired, '0' }
