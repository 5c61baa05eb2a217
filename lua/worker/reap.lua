-- Returns jobs of a worker whose lease ran out to the queue; a job that has crashed too many workers is dead-lettered, and
-- one that was to be cancelled is cancelled.
--
-- keys: meta workers held leased jobs ready ranked withdrawn laned places lanes ring parked opening limits flow scheduled tries failures progress logs steps journal ended completed cancelled dead unique cancels wake outbox watched
-- uses: lane flow clock memory record throttle tries wake ready unique forget finish cancel
-- argv: now or '', worker id, crash limit, failure for a job over it, '1' on the last slice, then per job: id, token
-- replies: {now, code, returned, dead}; code: ok | alive (the worker's lease has not run out: nothing is done)
-- cost: O(jobs named); the caller reads them in slices with HSCAN
-- holds: a job goes back once, by its token; the entry is dropped only when nothing is held under it, as something may have been
--        leased after the caller read what there is.

local now = now_ms(ARGV[1])
local worker, crash_limit, failure, last = ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5] == '1'
local FIRST, FIELDS = 6, 2

write_despite_full_memory()
local ends = call('ZSCORE', workers, worker)
if ends and tonumber(ends) > now then
  return { now, 'alive', 0, 0 }
end
local keep_dead, keep_cancelled = unpack(call('HMGET', meta, 'keep_dead', 'keep_cancelled'))

local returned, buried, taken_back = 0, 0, 0
for at = FIRST, #ARGV, FIELDS do
  local id, token = ARGV[at], ARGV[at + 1]
  if call('HGET', leased, id) == token then
    call('HDEL', leased, id)
    taken_back = taken_back + 1
    local reason = take_cancellation(id, token)
    local record = call('HGET', jobs, id)
    if record then
      if has_flag(record, KEYED) then
        by_key().free(lane_of(record))
      end
      local counted, crashes = count_crash(call('HGET', tries, id))
      call('HSET', tries, id, counted)
      if reason then
        end_cancelled(id, record, reason, now, keep_cancelled)
      elseif crashes >= crash_limit then
        dead_letter(id, record, failure, now, keep_dead)
        buried = buried + 1
      else
        if has_flag(record, KEYED) then
          record = unthrottle(id, record)
        end
        push_ready(id, record, true)
        returned = returned + 1
      end
    end
  end
end
-- A worker without an entry has no count.
local still_held = ends and call('HINCRBY', held, worker, format('%d', -taken_back)) or 0
if last and still_held <= 0 then
  call('ZREM', workers, worker)
  call('HDEL', held, worker)
end
local opened = 0
if flow_code then
  opened = flow_code.open_freed(now)
  flow_code.keep(now)
end
-- A place is free under the limit of the queue even if the job does not go back.
if taken_back + opened > 0 then
  wake_one()
end
return { now, 'ok', returned, buried }
