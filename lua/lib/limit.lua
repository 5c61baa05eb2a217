-- How many jobs a queue may hand out now: its concurrency limit over all workers, and its rate as GCRA
-- (the generic cell rate algorithm; `rate_full_at` is its theoretical arrival time).

-- Until when starts are owed to the rate. A time long to come is one of before Redis' clock went back.
local function owed_until(settings, interval, now)
  local full_at = tonumber(settings.rate_full_at or 0)
  if full_at > now + interval * (settings.rate_burst + 1) then
    return now
  end
  return math.max(full_at, now)
end

-- Returns how many of `ask` may be leased, and in how many milliseconds more may be (-1: not by time).
local function allowance(settings, ask, now)
  if settings.concurrency then
    ask = math.min(ask, tonumber(settings.concurrency) - call('HLEN', leased))
  end
  local interval = tonumber(settings.rate_interval)
  if not interval or ask <= 0 then
    return math.max(ask, 0), -1
  end
  local room = now + interval * tonumber(settings.rate_burst) - owed_until(settings, interval, now)
  local allowed = math.floor(room / interval)
  if allowed >= ask then
    return ask, -1
  end
  return math.max(allowed, 0), math.max(1, math.ceil((math.max(allowed, 0) + 1) * interval - room))
end

local function spend(settings, count, now)
  local interval = tonumber(settings.rate_interval)
  if interval and count > 0 then
    call('HSET', meta, 'rate_full_at', format('%.3f', owed_until(settings, interval, now) + count * interval))
  end
end
