-- Unique keys that are held for a time: let go once it is over.

local function release_windows(now, limit)
  local over = call('ZRANGEBYSCORE', windows, '-inf', now, 'LIMIT', 0, limit)
  if #over > 0 then
    call('ZREM', windows, unpack(over))
    call('HDEL', unique, unpack(over))
  end
  return #over
end
