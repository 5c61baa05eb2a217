-- Ready jobs: a list for the plain priority, a sorted set for all others, so that plain jobs pay nothing for priorities.
-- Taking a job out of the middle of a list is O(n), so it is withdrawn instead: marked, and skipped when it is popped.
-- Jobs with keys are in lanes.

local RANK_SPAN = 1e13

local function rank(record, front)
  local sequence = call('HINCRBY', meta, 'rank_sequence', 1)
  return priority_of(record) * RANK_SPAN + (front and -sequence or sequence)
end

-- False if a worker has no reason to come for it.
local function push_ready(id, record, front)
  local lane = lane_of(record)
  if lane then
    return in_lanes().push(id, lane, priority_of(record), front)
  elseif priority_of(record) == PLAIN_PRIORITY then
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
