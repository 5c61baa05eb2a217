-- Repairs what must not exist: records in no state, ids without a record, counts that disagree with the leases.
-- The caller finds suspects when the numbers of `stats` do not add up; each is judged again here.
--
-- keys: meta jobs ready ranked withdrawn scheduled leased workers held ended completed cancelled dead tries failures progress logs steps journal unique expiring wake watched
-- uses: record wake ready unique forget finish locate
-- argv: kind (record | unlisted | holder), then ids or worker ids
--       record: ids that may be in no state; unlisted: ids that may have no record; holder: workers whose count may be off
-- replies: {repaired}
-- cost: O(ids · n) for records, as the ready list must be searched; only ever run on a queue that is already wrong
-- holds: what is in order is left as it is.

local kind = ARGV[1]
local FIRST = 2
local repaired = 0

local function repair_record(id)
  if locate(id) == 'ready' and not call('ZSCORE', ranked, id) and not call('LPOS', ready, id) then
    call('HDEL', withdrawn, id)
    push_ready(id, call('HGET', jobs, id), false)
    wake_one()
    return 1
  end
  return 0
end

local function repair_unlisted(id)
  if call('HEXISTS', jobs, id) == 1 then
    return 0
  end
  local found = call('LREM', ready, 0, id) + call('ZREM', ranked, id) + call('ZREM', scheduled, id)
    + call('ZREM', dead, id) + call('LREM', completed, 0, id) + call('LREM', cancelled, 0, id)
    + call('HDEL', withdrawn, id) + call('HDEL', ended, id)
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

if kind == 'holder' then
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
