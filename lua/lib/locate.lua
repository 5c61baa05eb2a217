-- Which state a job is in: said by where its id is, since nothing on the happy path writes a state down.
-- A record that is nowhere else is in the ready list, which cannot be asked in less than O(n).

-- The state, what there is to say about it, and the record; nil if there is no such job.
local function locate(id)
  local record = call('HGET', jobs, id)
  if not record then
    return nil
  end
  local token = call('HGET', leased, id)
  if token then
    return 'leased', token, record
  end
  local outcome = call('HGET', ended, id)
  if outcome then
    return sub(outcome, 1, 1) == COMPLETED and 'completed' or 'cancelled', outcome, record
  end
  local since = call('ZSCORE', dead, id)
  if since then
    return 'dead', since, record
  end
  local due = call('ZSCORE', scheduled, id)
  if due then
    return 'scheduled', due, record
  end
  return 'ready', '', record
end

-- Takes a job that is not leased out of its state; its record stays.
local function unlink(id, state, record)
  if state == 'ready' then
    withdraw_ready(id, record)
  elseif state == 'scheduled' then
    call('ZREM', scheduled, id)
  elseif state == 'dead' then
    call('ZREM', dead, id)
  else
    -- From the end: who asks for it mostly asks for what has ended lately.
    call('LREM', state == 'completed' and completed or cancelled, -1, id)
    call('HDEL', ended, id)
  end
end
