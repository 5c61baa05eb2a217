-- A worker's turn at a queue: settles what finished and leases as many ready jobs as it has free slots, in one call.
--
-- keys: meta workers leased held jobs ready ranked withdrawn scheduled expiring tries failures progress logs ended completed cancelled dead unique wake watched
-- uses: clock memory record tries wake ready promote unique forget finish limit
-- argv: now or '', worker id, token for what is leased now, free slots, count of completed jobs, then
--       per completed job: id, token, result; per other outcome: kind, id, token, delay in ms, tries, failure or result;
--       kinds: complete (a job with a unique key) | retry | snooze | hand_back | dead | discard | cancel
-- replies: {now, code, held, next, more, ids, records, tries, stale ids}
--          code: ok | paused | lapsed (the worker's entry ran out: nothing is leased)
--          held: jobs the worker holds after this call; next: ms until a job falls due or a rate opens, -1 none;
--          more: 1 if ready jobs are left
-- cost: O(outcomes + leased jobs); O(log n) for what is scheduled, has a priority, or ends dead
-- holds: only the token a job was leased with can settle it, once; a worker whose entry ran out leases nothing.

local now = now_ms(ARGV[1])
local worker, token, ask, count = ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local FIRST, FIELDS, OTHER_FIELDS = 6, 3, 6
local SETTINGS = { 'paused', 'keep_completed', 'keep_cancelled', 'keep_dead', 'concurrency',
  'rate_interval', 'rate_burst', 'rate_full_at' }
local PROMOTE_AT_ONCE = 500

write_despite_full_memory()
local settings = {}
for i, value in ipairs(call('HMGET', meta, unpack(SETTINGS))) do
  settings[SETTINGS[i]] = value
end

local first_other = FIRST + FIELDS * count
local stale, settled = {}, {}
-- How many jobs each holder gives back: a worker settles what it leased under an earlier identity too.
local given_back = {}

-- Ends the leases named by `ids` whose tokens are still theirs, and answers which those are.
local function end_leases(ids, tokens)
  local kept = {}
  if #ids == 0 then
    return kept
  end
  local current = call('HMGET', leased, unpack(ids))
  local own = {}
  for i, id in ipairs(ids) do
    if current[i] == tokens[i] then
      own[#own + 1] = id
      kept[i] = true
      local holder = string.match(tokens[i], '^[^.]+')
      given_back[holder] = (given_back[holder] or 0) + 1
    else
      stale[#stale + 1] = id
    end
  end
  if #own > 0 then
    call('HDEL', leased, unpack(own))
  end
  return kept
end

local ids, tokens = {}, {}
for i = 1, count do
  ids[i] = ARGV[FIRST + FIELDS * (i - 1)]
  tokens[i] = ARGV[FIRST + FIELDS * (i - 1) + 1]
end
local kept = end_leases(ids, tokens)
local results = {}
for i = 1, count do
  if kept[i] then
    settled[#settled + 1] = ids[i]
    results[#results + 1] = ARGV[FIRST + FIELDS * (i - 1) + 2]
  end
end
finish(completed, COMPLETED, settled, results, now, settings.keep_completed)

local function settle(kind, id, delay, attempts, detail)
  local record = call('HGET', jobs, id)
  if not record then
    return
  end
  if attempts ~= '' then
    call('HSET', tries, id, attempts)
  end
  if kind == 'retry' or kind == 'snooze' then
    if detail ~= '' then
      call('HSET', failures, id, detail)
    end
    call('ZADD', scheduled, now + tonumber(delay), id)
  elseif kind == 'hand_back' then
    push_ready(id, record, true)
  elseif kind == 'dead' then
    dead_letter(id, record, detail, now, settings.keep_dead)
  else
    release_unique(id, record, UNIQUE_UNTIL_STARTED + UNIQUE_UNTIL_FINISHED)
    if kind == 'complete' then
      finish(completed, COMPLETED, { id }, { detail }, now, settings.keep_completed)
    elseif kind == 'cancel' then
      finish(cancelled, CANCELLED, { id }, { detail }, now, settings.keep_cancelled)
    else
      forget({ id })
      announce_end({ id })
    end
  end
end

for at = first_other, #ARGV, OTHER_FIELDS do
  if end_leases({ ARGV[at + 1] }, { ARGV[at + 2] })[1] then
    settle(ARGV[at], ARGV[at + 1], ARGV[at + 3], ARGV[at + 4], ARGV[at + 5])
  end
end

for holder, number in pairs(given_back) do
  -- A holder whose entry is gone has no count any more.
  if holder == worker or call('HEXISTS', held, holder) == 1 then
    call('HINCRBY', held, holder, -number)
  end
end

-- Whether jobs were left behind because of the queue's own limits; then no other worker could take them either.
local limited = false

local function lease()
  local none = { {}, {}, {} }
  if ask == 0 then
    return 'ok', none, -1
  end
  local alive_until = call('ZSCORE', workers, worker)
  if not alive_until or tonumber(alive_until) <= now then
    return 'lapsed', none, -1
  end
  promote(now, PROMOTE_AT_ONCE)
  if settings.paused then
    return 'paused', none, -1
  end
  local room, opens_in = allowance(settings, ask, now)
  limited = room < ask
  if room == 0 then
    return 'ok', none, opens_in
  end

  local taken = call('ZRANGEBYSCORE', ranked, '-inf', PLAIN_PRIORITY * RANK_SPAN, 'LIMIT', 0, room)
  if #taken > 0 then
    call('ZREM', ranked, unpack(taken))
  end
  if #taken < room then
    local plain = call('LPOP', ready, room - #taken)
    if plain then
      local marks = call('EXISTS', withdrawn) == 1 and call('HMGET', withdrawn, unpack(plain)) or {}
      for i, id in ipairs(plain) do
        if marks[i] then
          call('HDEL', withdrawn, id)
        else
          taken[#taken + 1] = id
        end
      end
    end
  end
  if #taken < room then
    for i, member in ipairs(call('ZPOPMIN', ranked, room - #taken)) do
      if i % 2 == 1 then
        taken[#taken + 1] = member
      end
    end
  end
  if #taken == 0 then
    return 'ok', none, opens_in
  end

  local found = call('HMGET', jobs, unpack(taken))
  local leases, records, entries = {}, {}, {}
  for i, id in ipairs(taken) do
    local record = found[i]
    if record and string.byte(record, 3) ~= 0 then
      release_unique(id, record, UNIQUE_UNTIL_STARTED)
      if has_flag(record, EXPIRES) then
        local expiry = call('ZSCORE', expiring, id)
        call('ZREM', expiring, id)
        if expiry and tonumber(expiry) <= now then
          dead_letter(id, record, expiry_failure(now), now, settings.keep_dead)
          record = false
        end
      end
    end
    if record then
      leases[#leases + 1] = id
      records[#records + 1] = record
      entries[#entries + 1] = id
      entries[#entries + 1] = token
    end
  end
  if #leases == 0 then
    return 'ok', none, opens_in
  end
  call('HSET', leased, unpack(entries))
  call('HINCRBY', held, worker, #leases)
  spend(settings, #leases, now)
  return 'ok', { leases, records, call('HMGET', tries, unpack(leases)) }, opens_in
end

local code, found, opens_in = lease()
local next_in = opens_in
local first = call('ZRANGE', scheduled, 0, 0, 'WITHSCORES')
if first[2] then
  local due_in = math.max(tonumber(first[2]) - now, 0)
  next_in = next_in < 0 and due_in or math.min(next_in, due_in)
end
local more = call('EXISTS', ready, ranked) > 0 and 1 or 0
if more == 1 and code == 'ok' and not limited then
  wake_one()
end
local holding = tonumber(call('HGET', held, worker) or 0)
return { now, code, holding, next_in, more, found[1], found[2], found[3], stale }
