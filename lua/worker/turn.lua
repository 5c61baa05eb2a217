-- A worker's turn at a queue: settles what finished and leases as many ready jobs as it has free slots, in one call.
--
-- keys: meta workers leased held jobs ready ranked withdrawn laned places lanes ring parked opening limits flow scheduled expiring tries failures progress logs steps journal ended completed cancelled dead unique cancels wake outbox watched
-- uses: lane flow turns clock memory record throttle wake ready promote unique forget finish limit cancel take journal
-- argv: now or '', worker id, token for what is leased now, free slots, count of tokens that completed jobs were leased with,
--       then per token: token, count of jobs; in the same order per completed job: id, end as `ended` keeps it;
--       then per other outcome: kind, id, token, delay in ms, tries, failure, reason or end
--       kinds: complete (a job with a unique key, or with keys) | tell (the same, and somebody is to be told of it) | retry | snooze | hand_back | dead | discard | cancel | suspend (a
--       run; instead of a delay the time it is due at, instead of a failure how many entries of its journal the worker knows)
-- replies: {now, code, held, next, more, ids, records, tries, steps, stale ids}
--          code: ok | paused | lapsed (the worker's entry ran out: nothing is leased)
--          tries, steps: empty if no job of the queue has any; held: jobs the worker holds after this call; next: ms until a job falls due or a rate of the queue or of a key opens, -1 none;
--          more: 1 if ready jobs are left: beyond a limit, or beyond the 4 MiB of records that one call leases; steps: how many entries the journal of each run has
-- cost: O(outcomes + leased jobs); O(log n) for what is scheduled, has a priority or keys, or ends dead; O(lanes looked at), bounded
-- holds: only the token a job was leased with can settle it, once; a worker whose entry ran out leases nothing.

local now = now_ms(ARGV[1])
-- More would not fit on Lua's stack in one command.
local MOST_LEASED = 1000
local worker, token, groups = ARGV[2], ARGV[3], tonumber(ARGV[5])
local ask = math.min(tonumber(ARGV[4]), MOST_LEASED)
local FIRST, OTHER_FIELDS = 6, 6
-- Outcomes after which a job would run again.
local GOES_ON = { retry = true, snooze = true, hand_back = true, suspend = true }
local SETTINGS = { 'paused', 'keep_completed', 'keep_cancelled', 'keep_dead', 'concurrency',
  'rate_interval', 'rate_burst', 'rate_full_at', 'turns' }
local PROMOTE_AT_ONCE, OPEN_KEYS_AT_ONCE = 500, 200

write_despite_full_memory()
local settings = {}
for i, value in ipairs(call('HMGET', meta, unpack(SETTINGS))) do
  settings[SETTINGS[i]] = value
end

local stale = {}
-- How many jobs each holder gives back: a worker settles what it leased under an earlier identity too.
local given_back = {}

local function give_back(lease_token, count)
  local holder = match(lease_token, '^[^.]+')
  given_back[holder] = (given_back[holder] or 0) + count
end

-- Ends the lease of one job if the token is still its own.
local function end_lease(id, lease_token)
  if call('HGET', leased, id) ~= lease_token then
    stale[#stale + 1] = id
    return false
  end
  call('HDEL', leased, id)
  give_back(lease_token, 1)
  return true
end

-- Where the completed jobs begin and end in ARGV.
local first = FIRST + 2 * groups
local last = first - 1
for group = 1, groups do
  last = last + 2 * ARGV[FIRST + 2 * group - 1]
end

-- All in a few commands, as long as no lease among them was lost.
local function complete_together()
  local ids, count = {}, 0
  for at = first, last, 2 do
    count = count + 1
    ids[count] = ARGV[at]
  end
  local current, at = call('HMGET', leased, unpack(ids)), 0
  for group = 1, groups do
    local expected = ARGV[FIRST + 2 * group - 2]
    for _ = 1, ARGV[FIRST + 2 * group - 1] do
      at = at + 1
      if current[at] ~= expected then
        return false
      end
    end
  end
  call('HDEL', leased, unpack(ids))
  for group = 1, groups do
    give_back(ARGV[FIRST + 2 * group - 2], tonumber(ARGV[FIRST + 2 * group - 1]))
  end
  finish(completed, ids, ARGV, first, last, settings.keep_completed)
  return true
end

if groups > 0 and not complete_together() then
  local at = first
  for group = 1, groups do
    for _ = 1, ARGV[FIRST + 2 * group - 1] do
      if end_lease(ARGV[at], ARGV[FIRST + 2 * group - 2]) then
        finish(completed, { ARGV[at] }, ARGV, at, at + 1, settings.keep_completed)
      end
      at = at + 2
    end
  end
end

local function settle(kind, id, lease_token, delay, attempts, detail)
  local record = call('HGET', jobs, id)
  if not record then
    return
  end
  if has_flag(record, KEYED) then
    by_key().free(lane_of(record))
  end
  -- Asked to end while it ran: it is not tried again, whatever became of the attempt.
  local reason = take_cancellation(id, lease_token)
  if reason and GOES_ON[kind] then
    kind, detail = 'cancel', reason
  end
  if GOES_ON[kind] and has_flag(record, KEYED) then
    record = unthrottle(id, record)
  end
  if attempts ~= '' then
    call('HSET', tries, id, attempts)
  end
  if kind == 'retry' or kind == 'snooze' then
    if detail ~= '' then
      call('HSET', failures, id, detail)
    end
    call('ZADD', scheduled, now + tonumber(delay), id)
  elseif kind == 'suspend' then
    if count_of_entries(id) == tonumber(detail) then
      call('ZADD', scheduled, delay, id)
    else
      -- What it waits for came while it was about to be suspended.
      push_ready(id, record, false)
    end
  elseif kind == 'hand_back' then
    push_ready(id, record, true)
  elseif kind == 'dead' then
    dead_letter(id, record, detail, now, settings.keep_dead)
  elseif kind == 'cancel' then
    end_cancelled(id, record, detail, now, settings.keep_cancelled)
  else
    release_unique(id, record, UNIQUE_UNTIL_STARTED + UNIQUE_UNTIL_FINISHED)
    if kind == 'discard' then
      forget({ id })
      announce_end({ id })
      tell_end(id, record, end_of(DEAD, now, detail))
    else
      finish(completed, { id }, { id, detail }, 1, 2, settings.keep_completed)
      if kind == 'tell' then
        tell_end(id, record, detail)
      end
    end
  end
end

-- Completed jobs with keys are told of one by one, and settled together as far as there is nothing else to do for them.
-- Returns where in ARGV they are.
local function complete_keyed()
  local ids, places_of, done = {}, {}, {}
  for at = last + 1, #ARGV, OTHER_FIELDS do
    if ARGV[at] == 'complete' and ARGV[at + 4] == '' then
      ids[#ids + 1], places_of[#places_of + 1] = ARGV[at + 1], at
    end
  end
  if #ids == 0 then
    return done
  end
  local tokens, records = call('HMGET', leased, unpack(ids)), call('HMGET', jobs, unpack(ids))
  local together, ends, seen = {}, {}, {}
  for i, id in ipairs(ids) do
    local at, record = places_of[i], records[i]
    if record and tokens[i] == ARGV[at + 2] and has_flag(record, KEYED)
      and not has_flag(record, UNIQUE_UNTIL_STARTED + UNIQUE_UNTIL_FINISHED) and not seen[id] then
      seen[id], done[at] = true, true
      together[#together + 1] = id
      ends[#ends + 1], ends[#ends + 2] = id, ARGV[at + 5]
      give_back(tokens[i], 1)
      by_key().free(lane_of(record))
    end
  end
  if #together > 0 then
    call('HDEL', leased, unpack(together))
    call('HDEL', cancels, unpack(together))
    finish(completed, together, ends, 1, #ends, settings.keep_completed)
  end
  return done
end

local done = complete_keyed()
for at = last + 1, #ARGV, OTHER_FIELDS do
  if not done[at] and end_lease(ARGV[at + 1], ARGV[at + 2]) then
    settle(ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4], ARGV[at + 5])
  end
end

for holder, number in pairs(given_back) do
  -- A holder whose entry is gone has no count any more.
  if holder == worker or call('HEXISTS', held, holder) == 1 then
    call('HINCRBY', held, holder, -number)
  end
end

if flow_code then
  flow_code.open_freed(now)
end
-- Whether the queue has lanes, as far as is known yet.
local has_lanes = settings.turns or lane_code

-- Whether jobs were left behind because of the queue's own limits; then no other worker could take them either.
local limited = false

local function lease()
  local none = { {}, {}, {}, {} }
  if ask == 0 then
    -- No slot for what falls due: it is ready at least, and somebody else is woken.
    promote(now, PROMOTE_AT_ONCE)
    return 'ok', none, -1
  end
  local alive_until = call('ZSCORE', workers, worker)
  if not alive_until or tonumber(alive_until) <= now then
    return 'lapsed', none, -1
  end
  promote(now, PROMOTE_AT_ONCE)
  has_lanes = has_lanes or lane_code
  if has_lanes then
    by_key().open_due(now, OPEN_KEYS_AT_ONCE)
  end
  if settings.paused then
    return 'paused', none, -1
  end
  local room, opens_in = allowance(settings, ask, now)
  limited = room < ask
  if room == 0 then
    return 'ok', none, opens_in
  end

  local take_them = has_lanes and take_in_turns or take_to_run
  local leases, records = take_them(room, now, settings.keep_dead, take_to_run, fit_to_run, portion)
  -- Fewer than there is room for: what is left is behind entries that came to nothing, and not behind a limit.
  limited = limited and #leases == room
  if #leases == 0 then
    return 'ok', none, opens_in
  end
  local entries = {}
  for i = 1, #leases do
    entries[2 * i - 1] = leases[i]
    entries[2 * i] = token
  end
  call('HSET', leased, unpack(entries))
  call('HINCRBY', held, worker, #leases)
  spend(settings, #leases, now)
  local counts, entries_of = {}, {}
  if call('EXISTS', tries, steps) > 0 then
    counts = call('HMGET', tries, unpack(leases))
    entries_of = call('HMGET', steps, unpack(leases))
  end
  return 'ok', { leases, records, counts, entries_of }, opens_in
end

local code, found, opens_in = lease()
if flow_code then
  flow_code.keep(now)
end
local next_in = opens_in
local due = call('ZRANGE', scheduled, 0, 0, 'WITHSCORES')[2]
if due then
  local due_in = math.max(tonumber(due) - now, 0)
  next_in = next_in < 0 and due_in or math.min(next_in, due_in)
end
if has_lanes then
  local opens = call('ZRANGE', opening, 0, 0, 'WITHSCORES')[2]
  if opens then
    opens_in = math.max(tonumber(opens) - now, 0)
    next_in = next_in < 0 and opens_in or math.min(next_in, opens_in)
    if #found[1] == ask then
      -- This worker may have no slot free by then: somebody else must know of it too.
      wake_one()
    end
  end
end
local more = call('EXISTS', ready, ranked, ring) > 0 and 1 or 0
if more == 1 and code ~= 'paused' and not limited then
  wake_one()
end
local holds = tonumber(call('HGET', held, worker) or 0)
return { now, code, holds, next_in, more, found[1], found[2], found[3], found[4], stale }
