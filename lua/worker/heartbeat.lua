-- Extends all leases of a worker at once, and tells it what it must know even if every hint was lost.
--
-- keys: meta workers held cancels scheduled ready ranked ring opening outbox leased
-- uses: clock memory
-- argv: now or '', worker id, lease in ms
-- replies: {now, code, held, next, backlog, first expiry, told, cancelled: pairs of id and reason}
--          code: ok | lapsed (the entry ran out or is gone; it is not brought back)
--          held: jobs Redis says this worker holds; next: ms until a job falls due or a rate of a key opens, -1 none; backlog: 1 if ready jobs wait
--          first expiry: ms until the first of all entries runs out, below zero if one has: its jobs want reaping
--          told: 1 if ends are kept that somebody is to be told of
-- cost: O(log workers + cancellations asked of this worker's queue); O(workers · log workers) after Redis' clock has gone back
-- holds: an entry that ran out stays so, since a reaper may be at work on it; no entry is further ahead than its lease by much more
--        than the lease of whoever is alive.

local now = now_ms(ARGV[1])
local worker, lease = ARGV[2], tonumber(ARGV[3])

write_despite_full_memory()
local ends = call('ZSCORE', workers, worker)
if not ends or tonumber(ends) <= now then
  return { now, 'lapsed', 0, -1, 0, 0, 0, {} }
end
-- So much has Redis' clock gone back since the last heartbeat. Every lease that was extended before ends sooner by that, as it ran on:
-- a worker that has died does not say so any more. Less is waited for, and may be what was lost in between.
local gone_back = tonumber(ends) - lease - now
if gone_back > 2 * lease then
  local ahead = call('ZRANGEBYSCORE', workers, now + gone_back - lease, '+inf', 'WITHSCORES')
  for i = 1, #ahead, 2 do
    call('ZADD', workers, tonumber(ahead[i + 1]) - gone_back, ahead[i])
  end
end
call('ZADD', workers, 'XX', now + lease, worker)

local asked = {}
if call('EXISTS', cancels) == 1 then
  local all = call('HGETALL', cancels)
  for i = 1, #all, 2 do
    local token, reason = match(all[i + 1], '^(%S+) (.*)$')
    if call('HGET', leased, all[i]) ~= token then
      call('HDEL', cancels, all[i])
    elseif match(token, '^[^.]+') == worker then
      asked[#asked + 1] = { all[i], reason }
    end
  end
end

local due = tonumber(call('ZRANGE', scheduled, 0, 0, 'WITHSCORES')[2])
local first = call('ZRANGE', workers, 0, 0, 'WITHSCORES')[2]
-- A key that is named twice counts twice: an odd number says that keys wait for a rate, without a command of its own.
local waiting = call('EXISTS', opening, ready, ready, ranked, ranked, ring, ring)
if waiting % 2 == 1 then
  local opens = tonumber(call('ZRANGE', opening, 0, 0, 'WITHSCORES')[2])
  due = due and math.min(due, opens) or opens
end
return { now, 'ok', tonumber(call('HGET', held, worker) or 0), due and math.max(due - now, 0) or -1,
  waiting > 1 and 1 or 0, tonumber(first) - now,
  call('EXISTS', outbox), asked }
