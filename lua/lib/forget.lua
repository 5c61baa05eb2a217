-- Deletes all that is kept about jobs, once they are in no list or set any more.

local function forget(ids)
  if #ids == 0 then
    return
  end
  call('HDEL', jobs, unpack(ids))
  if call('EXISTS', tries, failures, progress, logs) > 0 then
    call('HDEL', tries, unpack(ids))
    call('HDEL', failures, unpack(ids))
    call('HDEL', progress, unpack(ids))
    call('HDEL', logs, unpack(ids))
  end
end
