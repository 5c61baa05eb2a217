-- Moves a waiting job to another time: now (promote) or later.
--
-- keys: meta jobs ready ranked withdrawn laned places lanes ring parked scheduled expiring leased held ended completed cancelled dead tries failures progress logs steps journal unique cancels wake outbox watched
-- uses: lane clock record wake ready unique forget finish locate
-- argv: now or '', id, when ('' now, '+ms' or '@ms')
-- replies: {now, code, due}; code: ok | gone | leased | completed | cancelled | dead (the state, if it does not wait)
-- cost: O(log n)
-- holds: a job that does not wait is left alone.

local now = now_ms(ARGV[1])
local id, when = ARGV[2], ARGV[3]

local state, _, record = locate(id)
if not state then
  return { now, 'gone', 0 }
end
if state ~= 'ready' and state ~= 'scheduled' then
  return { now, state, 0 }
end
local due = now
if when ~= '' then
  due = tonumber(sub(when, 2)) + (sub(when, 1, 1) == '+' and now or 0)
end
if due > now then
  unlink(id, state, record)
  call('ZADD', scheduled, due, id)
  if call('ZRANGE', scheduled, 0, 0)[1] == id then
    wake_one()
  end
elseif state == 'scheduled' then
  unlink(id, state, record)
  push_ready(id, record, false)
  wake_one()
end
return { now, 'ok', due }
