-- Repairs what must not exist: records in no state, ids without a record, counts that disagree with the leases, lanes that
-- stand nowhere.
-- The caller finds suspects when the numbers of `stats` do not add up; each is judged again here.
--
-- keys: meta jobs ready ranked withdrawn laned places lanes ring parked flow scheduled leased workers held ended completed cancelled dead tries failures progress logs steps journal unique expiring wake outbox watched
-- uses: lane record wake ready unique forget finish locate
-- argv: kind (record | unlisted | holder | flow), then ids or worker ids
--       record: ids that may be in no state; unlisted: ids that may have no record; holder: workers whose count may be off;
--       flow: none, all keys are counted anew
-- replies: {repaired}
-- cost: O(ids · n) for records, as the ready list must be searched; only ever run on a queue that is already wrong. O(leases)
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

local PAGE = 500

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
local function repair_running()
  local counts, all, wrong = count_running(), call('HGETALL', flow), 0
  local function repair_key(key, state)
    call('HSET', flow, key, state)
    wrong = wrong + 1
    if in_lanes().unpark(key, PAGE) > 0 then
      wake_one()
    end
  end
  for i = 1, #all, 2 do
    local key, count, rest = all[i], match(all[i + 1], '^(%S+)( .*)$')
    if tonumber(count) ~= (counts[key] or 0) then
      repair_key(key, (counts[key] or 0) .. (rest or ' 0 0 0 0'))
    end
    counts[key] = nil
  end
  for key, count in pairs(counts) do
    repair_key(key, count .. ' 0 0 0 0')
  end
  return wrong
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

if kind == 'flow' then
  return { repair_running() + repair_lanes() }
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
return { repaired }
