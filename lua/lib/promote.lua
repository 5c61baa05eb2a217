-- Moves jobs whose time has come from scheduled to ready, in order of their due time.

local function promote(now, limit)
  local due = call('ZRANGEBYSCORE', scheduled, '-inf', now, 'LIMIT', 0, limit)
  if #due == 0 then
    return 0
  end
  call('ZREM', scheduled, unpack(due))
  local records = call('HMGET', jobs, unpack(due))
  for i, id in ipairs(due) do
    if records[i] then
      push_ready(id, records[i], false)
    end
  end
  return #due
end
