-- Keys take turns: the lane that was served longest ago is next, takes its share, and goes to the end of the ring, or is
-- parked under a key that lets no more start. All jobs without keys together have the turns of one lane.
-- It comes before other fragments, see lane.lua: what it needs of take.lua is handed in.

local UNKEYED = ''
-- Lanes looked at in one step, and how many lanes and jobs may come to nothing in one call.
local LANES_AT_ONCE, IN_VAIN_AT_MOST = 100, 1000

-- Takes up to `room` jobs to run, with their records.
local function take_in_turns(room, now, keep_dead, take_to_run, fit_to_run, portion)
  local in_lane, flow = in_lanes(), by_key()
  if call('EXISTS', ready, ranked) > 0 then
    call('ZADD', ring, 'NX', in_lane.next_turns(1), UNKEYED)
  end
  local leases, records, bytes, in_vain = {}, {}, 0, 0

  local function append(ids, found)
    for i = 1, #ids do
      bytes = bytes + #found[i]
      leases[#leases + 1] = ids[i]
      records[#records + 1] = found[i]
    end
  end

  -- Takes the jobs of these lanes out of what is ready. Some may turn out not to be fit to run.
  local function lease_from(lane_by_id, ids, members)
    call('ZREM', laned, unpack(members))
    call('HDEL', places, unpack(ids))
    local fit, found = fit_to_run(ids, call('HMGET', jobs, unpack(ids)), now, keep_dead, true)
    append(fit, found)
    if #fit < #ids then
      in_vain = in_vain + #ids - #fit
      local starts = {}
      for _, id in ipairs(fit) do
        starts[id] = true
      end
      for _, id in ipairs(ids) do
        if not starts[id] then
          flow.start_not(lane_by_id[id])
        end
      end
    end
  end

  while in_vain < IN_VAIN_AT_MOST do
    local wanted = portion(room - #leases, #leases + in_vain, bytes)
    local up = wanted > 0 and call('ZRANGE', ring, 0, math.min(wanted, LANES_AT_ONCE) - 1, 'WITHSCORES') or {}
    if #up == 0 then
      break
    end
    local share = math.floor(wanted / (#up / 2))
    local keys_by_lane, keys = {}, {}
    for i = 1, #up, 2 do
      keys_by_lane[up[i]] = in_lane.keys_of(up[i])
      for _, key in ipairs(keys_by_lane[up[i]]) do
        keys[#keys + 1] = key
      end
    end
    flow.learn(keys)

    local lane_by_id, ids, members = {}, {}, {}
    local again, gone, parks, standings, leaving = {}, {}, {}, {}, {}

    local function park(lane, key, turn)
      local standing = key .. format('\0%013.0f', turn)
      parks[#parks + 1], parks[#parks + 2] = 0, standing .. lane
      standings[#standings + 1], standings[#standings + 2] = lane, standing
      leaving[#leaving + 1] = lane
    end

    for i = 1, #up, 2 do
      local lane = up[i]
      if lane == UNKEYED then
        local taken, found = take_to_run(share, now, keep_dead)
        append(taken, found)
        if #taken == share then
          again[#again + 1] = lane
        else
          call('ZREM', ring, lane)
        end
      else
        local of_lane = keys_by_lane[lane]
        local count, waits_for = flow.room_of_lane(of_lane, now)
        if count == 0 then
          in_vain = in_vain + 1
          park(lane, waits_for, tonumber(up[i + 1]))
        else
          count = math.min(count, share)
          local from, to = in_lane.span_of(lane)
          local found = call('ZRANGEBYLEX', laned, from, to, 'LIMIT', 0, count + 1)
          local taken = math.min(#found, count)
          for n = 1, taken do
            local id = sub(found[n], #lane + ORDER_LENGTH + 2)
            ids[#ids + 1], members[#members + 1], lane_by_id[id] = id, found[n], of_lane
          end
          if taken > 0 then
            flow.start_with(of_lane, taken, now)
          end
          if #found > count then
            again[#again + 1] = lane
          else
            gone[#gone + 1], leaving[#leaving + 1] = lane, lane
          end
        end
      end
    end
    if #ids > 0 then
      lease_from(lane_by_id, ids, members)
    end

    local ring_again = {}
    if #again > 0 then
      local turn = in_lane.next_turns(#again)
      for _, lane in ipairs(again) do
        local count, waits_for = flow.room_of_lane(keys_by_lane[lane], now)
        if count == 0 then
          park(lane, waits_for, turn)
        else
          ring_again[#ring_again + 1], ring_again[#ring_again + 2] = turn, lane
        end
        turn = turn + 1
      end
    end
    if #ring_again > 0 then
      call('ZADD', ring, unpack(ring_again))
    end
    if #gone > 0 then
      call('HDEL', lanes, unpack(gone))
    end
    if #parks > 0 then
      call('ZADD', parked, unpack(parks))
      call('HSET', lanes, unpack(standings))
    end
    if #leaving > 0 then
      call('ZREM', ring, unpack(leaving))
      local seen, passed_on = {}, {}
      for _, lane in ipairs(leaving) do
        for _, key in ipairs(keys_by_lane[lane]) do
          if not seen[key] then
            seen[key], passed_on[#passed_on + 1] = true, key
          end
        end
      end
      flow.open(passed_on, now)
    end
  end

  if #leases == 0 and call('EXISTS', lanes, ring) == 0 then
    -- No lane is left: the queue is spared looking for them until there is one.
    call('HDEL', meta, 'turns')
    call('DEL', opening)
  end
  return leases, records
end
