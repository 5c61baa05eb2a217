-- The recent events of a name: a log whose places are times in microseconds that never repeat, and an index of it by term.
-- A body is three lines: the terms of the event, when it came, and its record.

-- The lines of a body: its terms, and the rest.
local function terms_of(body)
  return match(body, '^([^\n]*)\n')
end

local function seen_as(term, place, key)
  return term .. ' ' .. place .. ' ' .. key
end

-- Places have sixteen digits for centuries, so that their order is that of the text.
local function place_text(place)
  return format('%016.0f', place)
end

local function trim_recent(now, keep, keep_ms, keep_bytes, limit)
  local size = tonumber(call('HGET', facts, 'bytes') or 0)
  local over, freed, dropped = call('ZCARD', recent) - keep, 0, 0
  local oldest = call('ZRANGE', recent, 0, limit - 1, 'WITHSCORES')
  for i = 1, #oldest, 2 do
    local key, place = oldest[i], tonumber(oldest[i + 1])
    if dropped >= over and size - freed <= keep_bytes and place > (now - keep_ms) * 1000 then
      break
    end
    local body = call('HGET', bodies, key)
    if body then
      freed = freed + #body
      for term in string.gmatch(terms_of(body), '%S+') do
        call('ZREM', seen, seen_as(term, place_text(place), key))
      end
      call('HDEL', bodies, key)
    end
    call('ZREM', recent, key)
    dropped = dropped + 1
  end
  if freed > 0 then
    call('HINCRBY', facts, 'bytes', -freed)
  end
  return dropped
end
