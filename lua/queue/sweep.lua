-- House-keeping of a queue, in bounded steps: what is over its age, past its expiry, or was missed by a lost hint.
--
-- keys: meta workers leased held jobs ready ranked withdrawn laned places lanes ring parked opening limits flow scheduled expiring tries failures progress logs steps journal ended completed cancelled dead unique windows producers wake outbox watched routed
-- uses: lane flow clock memory record wake ready promote unique windows forget finish locate
-- argv: now or '', most of each kind to work off, ms since the last sweep by anyone below which this one does nothing
-- replies: {now, code, trimmed, expired, more: 1 if there were more of some kind than were worked off};
--          code: ok | recent (somebody just swept)
-- cost: O(limit + entries of journals deleted, see lib/forget.lua)
-- holds: nothing here is needed for a job to run; skipping a sweep only keeps old things longer.

local now, limit, spacing = now_ms(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local KEYS_AT_ONCE = 100
local KEEP_ENDED_MS, KEEP_DEAD_MS, KEEP_PRODUCER_MS = 3600000, 14 * 86400000, 3600000
-- Left over by routers that died in the moment between acknowledging an event and saying so here.
local KEEP_ROUTED_MS = 86400000

local swept_at, keep_completed_ms, keep_cancelled_ms, keep_dead_ms, keep_dead = unpack(call('HMGET', meta,
  'swept_at', 'keep_completed_ms', 'keep_cancelled_ms', 'keep_dead_ms', 'keep_dead'))
-- A time to come is one of before Redis' clock went back.
local since = swept_at and now - tonumber(swept_at)
if since and since >= 0 and since < spacing then
  return { now, 'recent', 0, 0, 0 }
end

-- Frees memory first, so that a full Redis lets the rest of this script write.
write_despite_full_memory()
local trimmed, more = 0, 0

-- Whether it is all there is of a kind.
local function see(found)
  if #found >= limit then
    more = 1
  end
end

-- Those of them that may go now; the others are left to the next sweep.
local function as_far_as_forgettable(ids)
  local count = forgettable(ids)
  if count < #ids then
    more = 1
  end
  return { unpack(ids, 1, count) }
end

local function trim_by_age(list, age)
  local over = {}
  for _, id in ipairs(call('LRANGE', list, 0, limit - 1)) do
    local outcome = call('HGET', ended, id)
    if outcome and ended_at(outcome) > now - age then
      break
    end
    over[#over + 1] = id
  end
  see(over)
  over = as_far_as_forgettable(over)
  if #over > 0 then
    call('LPOP', list, #over)
    call('HDEL', ended, unpack(over))
    forget(over)
    trimmed = trimmed + #over
  end
end
trim_by_age(completed, tonumber(keep_completed_ms or KEEP_ENDED_MS))
trim_by_age(cancelled, tonumber(keep_cancelled_ms or KEEP_ENDED_MS))

local old = call('ZRANGEBYSCORE', dead, '-inf', now - tonumber(keep_dead_ms or KEEP_DEAD_MS), 'LIMIT', 0, limit)
see(old)
old = as_far_as_forgettable(old)
if #old > 0 then
  call('ZREM', dead, unpack(old))
  forget(old)
  trimmed = trimmed + #old
end

local expired = call('ZRANGEBYSCORE', expiring, '-inf', now, 'LIMIT', 0, limit)
see(expired)
for _, id in ipairs(expired) do
  call('ZREM', expiring, id)
  local state, _, record = locate(id)
  if state == 'ready' or state == 'scheduled' then
    unlink(id, state, record)
    dead_letter(id, record, expiry_failure(now), now, keep_dead)
  end
end

if release_windows(now, limit) >= limit then
  more = 1
end

local left_over = call('ZRANGEBYSCORE', routed, '-inf', now - KEEP_ROUTED_MS, 'LIMIT', 0, limit)
see(left_over)
if #left_over > 0 then
  call('ZREM', routed, unpack(left_over))
end

local page = call('HSCAN', producers, call('HGET', meta, 'producers_cursor') or '0', 'COUNT', limit)
for i = 1, #page[2], 2 do
  if tonumber(match(page[2][i + 1], '^%d+ (%d+)')) < now - KEEP_PRODUCER_MS then
    call('HDEL', producers, page[2][i])
  end
end
call('HSET', meta, 'producers_cursor', page[1], 'swept_at', format('%.0f', now))

-- Keys that lanes wait for, some at a time: so that none waits for ever, whatever was missed. And keys of which there is
-- nothing more to say.
local function sweep_keys()
  local keyed = by_key()
  local parked_cursor, flow_cursor = unpack(call('HMGET', meta, 'parked_cursor', 'flow_cursor'))
  local cursor = parked_cursor and parked_cursor ~= '' and '(' .. parked_cursor or '-'
  for _ = 1, KEYS_AT_ONCE do
    local member = call('ZRANGEBYLEX', parked, cursor, '+', 'LIMIT', 0, 1)[1]
    if not member then
      cursor = '('
      break
    end
    local key = match(member, '^[^%z]*')
    keyed.open({ key }, now)
    cursor = '(' .. key .. '\1'
  end
  local some, over = call('HSCAN', flow, flow_cursor or '0', 'COUNT', limit), 0
  keyed.learn({})
  for i = 1, #some[2], 2 do
    local bound = keyed.limit_of(some[2][i])
    local count, full_at, _, started_at, paused_at = keyed.read(some[2][i + 1])
    if keyed.is_over(count, full_at, started_at, paused_at, bound, now) then
      call('HDEL', flow, some[2][i])
      over = over + 1
    end
  end
  -- Most of what was looked at is over, and there is more to look at.
  if some[1] ~= '0' and 4 * over > #some[2] then
    more = 1
  end
  call('HSET', meta, 'parked_cursor', sub(cursor, 2), 'flow_cursor', some[1])
end
if call('EXISTS', parked, flow) > 0 then
  sweep_keys()
end

promote(now, limit)
if call('EXISTS', ready, ranked, ring) > 0 then
  wake_one()
end
return { now, 'ok', trimmed, #expired, more }
