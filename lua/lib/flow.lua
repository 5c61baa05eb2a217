-- Limits per key: how many jobs with a key may start now, and what that leaves.
--
-- `limits` has per name of a key: jobs at once, ms between two starts on the average, burst, ms between any two starts; 0 means
-- no such limit. `flow` has per key, as five words: how many leased jobs have it; the theoretical arrival time of its rate (see
-- limit.lua) and the interval that was reckoned with, as another rate owes nothing for it; the last start; and since when it
-- is paused; 0 for none. It is read once in a script, and written once, by `keep`; a key of which there is nothing to say has
-- no entry.
--
-- No lane waits for a key that lets jobs start: when a key may have room again, `open` lets lanes go on; and a lane that leaves
-- the ring without using the room its keys have calls it too, so that the next one does.
--
-- It comes before other fragments, and its functions are made when they are first asked for: see lane.lua.

local NO_LIMIT, UNLIMITED = 1e9, { concurrency = 0, interval = 0, text = '0', burst = 1, spacing = 0 }
local OPEN_AT_ONCE, UNPARK_AT_ONCE, KEEP_AT_ONCE, MADE_UP_MS = 100, 500, 2000, 100
local flow_code
local function by_key()
  if flow_code then
    return flow_code
  end
  local in_lane = in_lanes()
  -- `limits` by name, and what is known of each `key` that was asked for.
  local code = { known = {} }
  local freed, known = {}, code.known
  flow_code = code

  function code.read(state)
    local count, full_at, interval, started_at, paused_at = match(state, '^(%S+) (%S+) (%S+) (%S+) (%S+)$')
    return tonumber(count) or 0, tonumber(full_at) or 0, interval, tonumber(started_at) or 0, tonumber(paused_at) or 0
  end

  -- Once something was learnt.
  function code.limit_of(key)
    return code.limits[match(key, '^[^=]*')] or UNLIMITED
  end

  function code.learn(keys)
    if not code.limits then
      code.limits = {}
      local all = call('HGETALL', limits)
      for i = 1, #all, 2 do
        local concurrency, interval, burst, spacing = match(all[i + 1], '^(%S+) (%S+) (%S+) (%S+)$')
        code.limits[all[i]] = { concurrency = tonumber(concurrency) or 0, interval = tonumber(interval) or 0,
          text = interval, burst = tonumber(burst) or 1, spacing = tonumber(spacing) or 0 }
      end
    end
    local unknown = {}
    for _, key in ipairs(keys) do
      if not known[key] then
        unknown[#unknown + 1] = key
        known[key] = {}
      end
    end
    if #unknown == 0 then
      return
    end
    local states = call('HMGET', flow, unpack(unknown))
    for i, key in ipairs(unknown) do
      local limit = code.limit_of(key)
      local count, full_at, interval, started_at, paused_at = code.read(states[i] or '')
      known[key] = { limit = limit, running = count, full_at = interval == limit.text and full_at or 0,
        started_at = started_at, paused_at = paused_at }
    end
  end

  -- How many jobs with a key may start now, and when more may, if that is a matter of time.
  function code.room_of(key, now)
    local state = known[key]
    local limit = state.limit
    -- What is said of a time long to come was said before Redis' clock went back.
    if state.full_at > now + limit.interval * (limit.burst + 1) then
      state.full_at = 0
    end
    if state.started_at > now + limit.spacing then
      state.started_at = 0
    end
    if state.paused_at > 0 then
      return 0
    end
    local room, opens_at = NO_LIMIT, nil
    if limit.concurrency > 0 then
      room = math.max(limit.concurrency - state.running, 0)
    end
    if limit.interval > 0 then
      local full_at = math.max(state.full_at, now)
      local allowed = math.max(math.floor((now + limit.interval * limit.burst - full_at) / limit.interval), 0)
      room = math.min(room, allowed)
      if allowed == 0 then
        opens_at = full_at - limit.interval * (limit.burst - 1)
      end
    end
    if limit.spacing > 0 then
      room = math.min(room, state.started_at + limit.spacing > now and 0 or 1)
      if state.started_at + limit.spacing > now then
        opens_at = math.max(opens_at or 0, state.started_at + limit.spacing)
      end
    end
    return room, opens_at and math.max(math.ceil(opens_at), now + 1)
  end

  -- The same for a lane; if none may start, the key it has to wait for.
  function code.room_of_lane(keys, now)
    local least, waits_for = NO_LIMIT, nil
    for _, key in ipairs(keys) do
      local room = code.room_of(key, now)
      if room < least then
        least, waits_for = room, key
      end
    end
    return least, waits_for
  end

  function code.start_with(keys, count, now)
    for _, key in ipairs(keys) do
      local state = known[key]
      state.changed, state.running = true, state.running + count
      local interval = state.limit.interval
      if interval > 0 then
        -- Whoever comes for a start that was waited for comes a little late: that must not slow the pace, start by start. What
        -- is later than that is an outage, after which the pace begins anew and nothing comes in a burst.
        local owed_since = state.waited and now - math.max(interval / 2, MADE_UP_MS) or now
        state.full_at = math.max(state.full_at, owed_since) + count * interval
      end
      if state.limit.spacing > 0 then
        state.started_before, state.started_at = state.started_at, now
      end
    end
  end

  -- Takes back that one job starts.
  function code.start_not(keys)
    for _, key in ipairs(keys) do
      local state = known[key]
      state.running, state.full_at = state.running - 1, state.full_at - state.limit.interval
      state.started_at = state.started_before or state.started_at
    end
  end

  -- Lets lanes go on that wait for one of these keys, as many as may start; if only time can tell, has the key looked at then.
  -- Returns how many lanes that were.
  function code.open(keys, now)
    if call('EXISTS', parked) == 0 then
      return 0
    end
    code.learn(keys)
    local opened, waiting = 0, {}
    for _, key in ipairs(keys) do
      local room, opens_at = code.room_of(key, now)
      local from, to = in_lane.span_of(key)
      if room > 0 then
        for _, member in ipairs(call('ZRANGEBYLEX', parked, from, to, 'LIMIT', 0, math.min(room, OPEN_AT_ONCE))) do
          opened = opened + 1
          waiting[#waiting + 1] = member
        end
      elseif opens_at and #call('ZRANGEBYLEX', parked, from, to, 'LIMIT', 0, 1) > 0 then
        call('ZADD', opening, opens_at, key)
      end
      if #waiting >= UNPARK_AT_ONCE then
        in_lane.unpark_all(waiting)
        waiting = {}
      end
    end
    in_lane.unpark_all(waiting)
    return opened
  end

  -- Looks at the keys whose time has come.
  function code.open_due(now, limit)
    local due = call('ZRANGEBYSCORE', opening, '-inf', now, 'LIMIT', 0, limit)
    if #due > 0 then
      call('ZREM', opening, unpack(due))
      code.learn(due)
      for _, key in ipairs(due) do
        known[key].waited = true
      end
      code.open(due, now)
    end
  end

  -- To be called for every lease that ends of a job with keys.
  function code.free(lane)
    for _, key in ipairs(in_lane.keys_of(lane or '')) do
      freed[key] = (freed[key] or 0) + 1
    end
  end

  -- Counts what was freed, and lets those go on that waited for it; returns how many lanes that were.
  function code.open_freed(now)
    if not next(freed) then
      return 0
    end
    local keys = {}
    for key in pairs(freed) do
      keys[#keys + 1] = key
    end
    code.learn(keys)
    for key, count in pairs(freed) do
      known[key].changed, known[key].running = true, math.max(known[key].running - count, 0)
    end
    return code.open(keys, now)
  end

  -- Whether there is nothing more to say of a key: none runs, no pace binds it, it is not paused.
  function code.is_over(count, full_at, started_at, paused_at, limit, now)
    return count == 0 and full_at <= now and started_at + limit.spacing <= now and paused_at == 0
  end

  -- Writes what has changed, in pieces that fit on Lua's stack.
  function code.keep(now)
    local states, over = {}, {}
    local function write()
      if #states > 0 then
        call('HSET', flow, unpack(states))
      end
      if #over > 0 then
        call('HDEL', flow, unpack(over))
      end
      states, over = {}, {}
    end
    for key, state in pairs(known) do
      local count, full_at, started_at, paused_at = state.running, state.full_at, state.started_at, state.paused_at
      if state.changed and code.is_over(count, full_at, started_at, paused_at, state.limit, now) then
        over[#over + 1] = key
      elseif state.changed then
        states[#states + 1] = key
        states[#states + 1] = format('%d %.3f %s %.0f %.0f', count, full_at, state.limit.text, started_at, paused_at)
      end
      if #states + #over >= KEEP_AT_ONCE then
        write()
      end
    end
    write()
  end

  return code
end
