-- Ready jobs: a list for the plain priority, a sorted set for all others, so that plain jobs pay nothing for priorities.
-- Taking a job out of the middle of a list is O(n), so it is withdrawn instead: marked, and skipped when it is popped.
-- Jobs with keys are in lanes.

local RANK_SPAN = 1e13

-- A job that is ordered by a time comes behind those of its priority that are not.
local function rank(record, front)
  local order = order_of(record)
  if not order then
    local sequence = call('HINCRBY', meta, 'rank_sequence', 1)
    order = front and -sequence or sequence
  end
  return priority_of(record) * RANK_SPAN + math.min(order, RANK_SPAN - 1)
end

-- False if a worker has no reason to come for it.
local function push_ready(id, record, front)
  local lane = lane_of(record)
  if lane then
    return in_lanes().push(id, lane, priority_of(record), front, order_of(record))
  elseif priority_of(record) == PLAIN_PRIORITY and not has_flag(record, ORDERED) then
    call(front and 'LPUSH' or 'RPUSH', ready, id)
  else
    call('ZADD', ranked, format('%.0f', rank(record, front)), id)
  end
  return true
end

local function withdraw_ready(id, record)
  local lane = lane_of(record)
  if lane then
    if in_lanes().withdraw(id, lane) then
      wake_one()
    end
  elseif call('ZREM', ranked, id) == 0 and call('HSETNX', withdrawn, id, 1) == 0 then
    -- The mark stands for an older entry of the same job: drop that entry, and let the mark stand for the newer one.
    call('LREM', ready, 1, id)
  end
end
