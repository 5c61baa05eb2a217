-- Unique keys and the windows of those that are held for a time.

-- Who holds a key. One whose time is over is let go here, so that nothing depends on when a sweep comes by.
local function holder_of(key, now)
  local ends = call('ZSCORE', windows, key)
  if ends and tonumber(ends) <= now then
    call('ZREM', windows, key)
    call('HDEL', unique, key)
    return false
  end
  return call('HGET', unique, key)
end

-- Gives a free key to a job: for `window` ms, or until it is released. A window of an earlier holder must not end this one.
local function take_key(key, id, now, window)
  call('HSET', unique, key, id)
  if window then
    call('ZADD', windows, now + window, key)
  else
    call('ZREM', windows, key)
  end
end

local function release_windows(now, limit)
  local over = call('ZRANGEBYSCORE', windows, '-inf', now, 'LIMIT', 0, limit)
  if #over > 0 then
    call('ZREM', windows, unpack(over))
    call('HDEL', unique, unpack(over))
  end
  return #over
end
