-- Puts a batch of jobs in: plain ones (default priority, at once, generated id) by variadic commands, others one by one.
--
-- keys: meta jobs ready ranked withdrawn laned places lanes ring parked flow scheduled expiring leased ended completed cancelled dead tries failures progress logs steps journal unique windows cancels producers wake outbox watched routed
-- uses: lane clock record wake ready unique windows forget finish locate start
-- argv: now or '', producer id, number of this call (one more than its last), count of plain jobs, then
--       per plain job: id, record; per other job: id, record, when ('' now, '+ms' or '@ms'), own ('1': id chosen by the
--       caller; '!ms': by a router, who may enqueue it until then), unique window in ms or '', on conflict (keep | replace | put_off: the holder
--       gets this record and its time; 'put_off <ms>': at most so long after it was first enqueued; 'newer' before the ms: it keeps a record that was
--       due later; drop: a run that is dropped; cancel: a run that cancels the holder), expiry in ms or '', rules of a run or '', see lib/start.lua
-- replies: {now, code, per other job: '' enqueued, 'exists' id already there, 'held <id>' unique key taken, or the run that
--          has its event, 'dropped' the rules let it not start, 'asked <token>' enqueued, and the worker that runs the holder under
--          the token is to end it, 'late' the router's time is over}
--          code: ok | repeated (this call was applied before: its reply was lost, or it arrives late)
-- cost: O(jobs); O(log n) for each job that is scheduled or has a priority or keys
-- holds: a job is in exactly one state; a repeated call changes nothing and answers what it answered; a full Redis changes nothing.

local now = now_ms(ARGV[1])
local producer, number, plain = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local FIRST, OTHER_FIELDS = 5, 8
local first_other = FIRST + 2 * plain

local function key_of(record)
  if has_flag(record, UNIQUE_UNTIL_STARTED + UNIQUE_UNTIL_FINISHED + UNIQUE_WINDOW) then
    return unique_key_of(record)
  end
end

-- An id in `routed` whose event started no run has half a millisecond in its score.
local function was_dropped(id)
  local since = call('ZSCORE', routed, id)
  return since and sub(since, -2) == '.5'
end

-- What the last call of a producer came to is kept as long as it matters: a holder that was in the way then may be gone by now.
local last_number, said = match(call('HGET', producers, producer) or '', '^(%d+) %d+(.*)$')
if last_number and tonumber(last_number) >= number then
  local outcomes = {}
  if tonumber(last_number) == number then
    for outcome in string.gmatch(said, '\n([^\n]*)') do
      outcomes[#outcomes + 1] = outcome
    end
  end
  -- All new, or a call before the last, which comes too late for anybody to hear.
  while #outcomes * OTHER_FIELDS < #ARGV - first_other + 1 do
    outcomes[#outcomes + 1] = ''
  end
  return { now, 'repeated', outcomes }
end

local woken = false
if plain > 0 then
  local ids = {}
  for i = 1, plain do
    ids[i] = ARGV[FIRST + 2 * i - 2]
  end
  call('HSET', jobs, unpack(ARGV, FIRST, first_other - 1))
  woken = call('RPUSH', ready, unpack(ids)) == plain
end

-- Makes room for a job that replaces the holder of its unique key; a holder that runs stays, and one that has ended is
-- kept as what it is.
local function replace(holder)
  local state, _, kept = locate(holder)
  if state == 'ready' or state == 'scheduled' then
    unlink(holder, state, kept)
    call('ZREM', expiring, holder)
    forget({ holder })
    announce_end({ holder })
    tell_end(holder, kept, end_of(CANCELLED, now, 'replaced by another with its unique key'))
  end
  return state ~= 'leased'
end

-- Gives a holder that has not started yet a new record and a new time; when it was enqueued stays.
local function put_off(holder, record, due, most, newer, expiry)
  local state, _, kept = locate(holder)
  if state ~= 'ready' and state ~= 'scheduled' then
    return
  end
  local _, at = lane_of(record)
  local _, at_kept = lane_of(kept)
  local first = time_at(kept, at_kept)
  if newer and time_at(kept, at_kept + TIME_LENGTH) > time_at(record, at + TIME_LENGTH) then
    record = kept
  else
    record = sub(record, 1, at) .. sub(kept, at_kept + 1, at_kept + TIME_LENGTH) .. sub(record, at + TIME_LENGTH + 1)
  end
  if most then
    due = math.min(due, first + most)
  end
  unlink(holder, state, kept)
  call('HSET', jobs, holder, record)
  call('ZREM', expiring, holder)
  -- A record that stays may be of a job that never expires, and would not be taken out when it starts.
  if expiry ~= '' and has_flag(record, EXPIRES) then
    call('ZADD', expiring, now + tonumber(expiry), holder)
  end
  if state == 'scheduled' and due > now then
    call('ZADD', scheduled, due, holder)
    woken = woken or call('ZRANGE', scheduled, 0, 0)[1] == holder
  else
    woken = push_ready(holder, record, false) or woken
  end
end

local function enqueue(id, record, when, own, window, on_conflict, expiry, rules)
  if own ~= '' and call('HEXISTS', jobs, id) == 1 then
    return 'exists'
  end
  local until_ms = match(own, '^!(%d+)$')
  if until_ms and now > tonumber(until_ms) then
    return 'late'
  end
  -- It may have ended and been forgotten since it was first started.
  if until_ms and call('ZADD', routed, 'NX', now, id) == 0 then
    return was_dropped(id) and 'dropped' or 'exists'
  end
  if window ~= '' then
    release_windows(now, 10)
  end
  local key = key_of(record)
  local due = now
  if when ~= '' then
    due = tonumber(sub(when, 2)) + (sub(when, 1, 1) == '+' and now or 0)
  end
  local holder = key and holder_of(key, now)
  if holder and sub(on_conflict, 1, 7) == 'put_off' then
    local most, newer = tonumber(match(on_conflict, '%d+$')), sub(on_conflict, 9, 13) == 'newer'
    put_off(holder, record, due, most, newer, expiry)
    return 'held ' .. holder
  end
  if rules ~= '' then
    local run, wakes = starting().join(id, rules, record, due, now)
    if run then
      woken = woken or wakes
      return 'held ' .. run
    end
  end
  if (holder and on_conflict == 'drop') or (rules ~= '' and not starting().has_room(rules, now)) then
    if until_ms then
      call('ZADD', routed, format('%.1f', now + 0.5), id)
    end
    return 'dropped'
  end
  local outcome = ''
  if holder and on_conflict == 'cancel' then
    outcome = starting().cancel(holder, id, now)
  elseif holder and not (on_conflict == 'replace' and replace(holder)) then
    if until_ms then
      -- Nothing has this start: sent again it must not hear that it is there already.
      call('ZREM', routed, id)
    end
    return 'held ' .. holder
  end
  if rules ~= '' then
    starting().count(rules, now)
  end
  call('HSET', jobs, id, record)
  if key then
    take_key(key, id, now, tonumber(window))
  end
  if expiry ~= '' then
    call('ZADD', expiring, now + tonumber(expiry), id)
  end
  if due > now then
    call('ZADD', scheduled, due, id)
    woken = woken or call('ZRANGE', scheduled, 0, 0)[1] == id
  else
    woken = push_ready(id, record, false) or woken
  end
  return outcome
end

local outcomes, all_new = {}, true
for at = first_other, #ARGV, OTHER_FIELDS do
  local outcome = enqueue(
    ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4], ARGV[at + 5], ARGV[at + 6], ARGV[at + 7])
  outcomes[#outcomes + 1] = outcome
  all_new = all_new and outcome == ''
end

local answered = all_new and '' or '\n' .. table.concat(outcomes, '\n')
call('HSET', producers, producer, format('%.0f %.0f', number, now) .. answered)
if woken then
  wake_one()
end
return { now, 'ok', outcomes }
