-- How many jobs a queue may hand out now: its concurrency limit over all workers, and its rate as GCRA
-- (the generic cell rate algorithm; `rate_full_at` is its theoretical arrival time).

-- Returns how many of `ask` may be leased, and in how many milliseconds more may be (-1: not by time).
local function allowance(settings, ask, now)
  if settings.concurrency then
    ask = math.min(ask, tonumber(settings.concurrency) - call('HLEN', leased))
  end
  local interval = tonumber(settings.rate_interval)
  if not interval or ask <= 0 then
    return math.max(ask, 0), -1
  end
  local full_at = math.max(tonumber(settings.rate_full_at or 0), now)
  local room = now + interval * tonumber(settings.rate_burst) - full_at
  local allowed = math.floor(room / interval)
  if allowed >= ask then
    return ask, -1
  end
  return math.max(allowed, 0), math.max(1, math.ceil((math.max(allowed, 0) + 1) * interval - room))
end

local function spend(settings, count, now)
  local interval = tonumber(settings.rate_interval)
  if interval and count > 0 then
    local full_at = math.max(tonumber(settings.rate_full_at or 0), now)
    call('HSET', meta, 'rate_full_at', format('%.3f', full_at + count * interval))
  end
end
