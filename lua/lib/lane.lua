-- Lanes: jobs with keys wait apart, one lane for each combination of keys, so that every job of a lane is bound by the same
-- limits and none stands in the way of another lane. A lane is known by its keys as text, `name=value`, joined by newlines
-- if there are several; a key by one of these lines.
--
-- In a sorted set whose scores are all equal Redis keeps the members in order of their bytes. So one set holds the order
-- of every lane, and a lane's name begins its members:
--   laned   lane, NUL, priority, order, id      ready jobs
--   parked  key, NUL, turn, lane                lanes that wait for a key
--
-- A lane with ready jobs stands in exactly one place: in the ring, by when it was last served, or parked under a key.
-- `lanes` says which: '' for the ring, or what comes before the lane in `parked`.
--
-- Most calls meet no job with keys, and pay for these functions all the same: to make one, Lua looks for each local that it uses
-- among all locals that functions have used so far. So this fragment comes before others and uses none of them, and the
-- functions are made when they are first asked for.

local ORDER_ZERO, ORDER_LENGTH = 5e12, 15
local lane_code
local function in_lanes()
  if lane_code then
    return lane_code
  end
  local code = {}
  lane_code = code

  -- All members of `laned` or `parked` that begin with a lane or a key.
  function code.span_of(name)
    return '[' .. name .. '\0', '(' .. name .. '\1'
  end

  function code.keys_of(lane)
    local keys = {}
    for key in string.gmatch(lane, '[^\n]+') do
      keys[#keys + 1] = key
    end
    return keys
  end

  -- The next turns in the ring, one for each of `count` lanes; the first is returned. As long as the queue has lanes there is
  -- such a number, and a queue that has none is spared all looks at them.
  function code.next_turns(count)
    return call('HINCRBY', meta, 'turns', count) - count + 1
  end

  -- Within a lane and a priority jobs go as they come, and behind them those that have an `order`, a time, by that. True if that gave
  -- the queue a lane that may run.
  function code.push(id, lane, priority, front, order)
    if order then
      order = ORDER_ZERO + math.min(order, ORDER_ZERO - 1)
    else
      local sequence = call('HINCRBY', meta, 'rank_sequence', 1)
      order = ORDER_ZERO + (front and -sequence or sequence)
    end
    local place = format('\0%02d%013.0f', math.min(priority, 99), order)
    place = lane .. place
    call('ZADD', laned, 0, place .. id)
    call('HSET', places, id, place)
    if call('HSETNX', lanes, lane, '') == 1 then
      call('ZADD', ring, code.next_turns(1), lane)
      return true
    end
    return false
  end

  -- Puts lanes back into the ring that are parked as these members say.
  function code.unpark_all(waiting)
    if #waiting == 0 then
      return
    end
    local turns, standings = {}, {}
    for i, member in ipairs(waiting) do
      local key_ends = string.find(member, '\0', 1, true)
      local lane = sub(member, key_ends + 14)
      turns[2 * i - 1], turns[2 * i] = tonumber(sub(member, key_ends + 1, key_ends + 13)), lane
      standings[2 * i - 1], standings[2 * i] = lane, ''
    end
    call('ZREM', parked, unpack(waiting))
    call('ZADD', ring, unpack(turns))
    call('HSET', lanes, unpack(standings))
  end

  -- Lets up to `count` lanes that wait for a key, those longest unserved first, go on; returns how many there were.
  function code.unpark(key, count)
    local from, to = code.span_of(key)
    local waiting = call('ZRANGEBYLEX', parked, from, to, 'LIMIT', 0, count)
    code.unpark_all(waiting)
    return #waiting
  end

  -- Takes a job out of its lane, and an empty lane out of where it stands. If it was its lane's turn, one lane that waits for the
  -- same key has it instead: whether it may run is seen when it is served. True if a worker has to come for that.
  function code.withdraw(id, lane)
    local place = call('HGET', places, id)
    if not place then
      return false
    end
    call('HDEL', places, id)
    call('ZREM', laned, place .. id)
    local from, to = code.span_of(lane)
    if #call('ZRANGEBYLEX', laned, from, to, 'LIMIT', 0, 1) > 0 then
      return false
    end
    local standing = call('HGET', lanes, lane)
    call('HDEL', lanes, lane)
    if standing and standing ~= '' then
      call('ZREM', parked, standing .. lane)
      return false
    end
    call('ZREM', ring, lane)
    local unparked = 0
    for _, key in ipairs(code.keys_of(lane)) do
      unparked = unparked + code.unpark(key, 1)
    end
    return unparked > 0
  end

  return code
end
