-- Ready jobs: a list for the plain priority, a sorted set for all others, so that plain jobs pay nothing for priorities.
-- Taking a job out of the middle of a list is O(n), so it is withdrawn instead: marked, and skipped when it is popped.

local RANK_SPAN = 1e13

local function rank(record, front)
  local sequence = call('HINCRBY', meta, 'rank_sequence', 1)
  return priority_of(record) * RANK_SPAN + (front and -sequence or sequence)
end

local function push_ready(id, record, front)
  if priority_of(record) == PLAIN_PRIORITY then
    call(front and 'LPUSH' or 'RPUSH', ready, id)
  else
    call('ZADD', ranked, format('%.0f', rank(record, front)), id)
  end
end

local function withdraw_ready(id)
  if call('ZREM', ranked, id) == 0 and call('HSETNX', withdrawn, id, 1) == 0 then
    -- The mark stands for an older entry of the same job: drop that entry, and let the mark stand for the newer one.
    call('LREM', ready, 1, id)
  end
end
