-- The ends of a job: completed and cancelled are lists in order of time, with the end in `ended`; dead is a sorted set by
-- time. Each end trims what is over its count; trimming is bounded by what was added, and by the journals that go, so that a lowered
-- count is worked off over several calls.
--
-- An end is a mark, the time in ms as nine digits to the base 36, and the result. `ending.rs` writes and reads
-- it too; at this length an end without a result takes the smallest piece of memory there is.

local COMPLETED, CANCELLED, DEAD = 'c', 'x', 'd'
local KEEP_ENDED, KEEP_DEAD = 1000, 10000
local DIGITS = '0123456789abcdefghijklmnopqrstuvwxyz'

local function end_of(mark, now, result)
  local text = ''
  for _ = 1, 9 do
    local digit = now % 36
    text = sub(DIGITS, digit + 1, digit + 1) .. text
    now = math.floor(now / 36)
  end
  return mark .. text .. result
end

local function ended_at(outcome)
  return tonumber(sub(outcome, 2, 10), 36)
end

local function trim_ended(list, length, keep, added)
  if length > keep then
    local count = math.min(length - keep, 2 * added + 100)
    if call('EXISTS', steps) == 1 then
      count = forgettable(call('LRANGE', list, 0, count - 1))
    end
    if count > 0 then
      local old = call('LPOP', list, count)
      call('HDEL', ended, unpack(old))
      forget(old)
    end
  end
end

local function announce_end(ids)
  if call('EXISTS', watched) == 1 then
    local watchers = call('HMGET', watched, unpack(ids))
    for i, id in ipairs(ids) do
      if watchers[i] then
        call('HDEL', watched, id)
        call('PUBLISH', ended, id)
      end
    end
  end
end

-- Keeps an end until it has been told to whom it concerns outside the queue: the run that waits for it, and functions that
-- are started by it. Its job is named by its record, as the record may be forgotten by then.
local function tell_end(id, record, outcome)
  if has_flag(record, TELLS) then
    call('XADD', outbox, '*', 'id', id, 'end', outcome, 'record', record)
  end
end

-- The ids and ends are `from[first]`, `from[first + 1]` and so on up to `from[last]`, in turn; `ids` are the ids alone.
local function finish(list, ids, from, first, last, keep)
  keep = tonumber(keep or KEEP_ENDED)
  if keep == 0 and call('EXISTS', steps) == 0 then
    forget(ids)
  else
    call('HSET', ended, unpack(from, first, last))
    trim_ended(list, call('RPUSH', list, unpack(ids)), keep, #ids)
  end
  announce_end(ids)
end

local function dead_letter(id, record, failure, now, keep)
  release_unique(id, record, UNIQUE_UNTIL_STARTED + UNIQUE_UNTIL_FINISHED)
  call('ZADD', dead, now, id)
  call('HSET', failures, id, failure)
  local over = call('ZCARD', dead) - tonumber(keep or KEEP_DEAD)
  if over > 0 then
    local old = call('ZRANGE', dead, 0, math.min(over, 100) - 1)
    local count = forgettable(old)
    if count > 0 then
      old = { unpack(old, 1, count) }
      call('ZREM', dead, unpack(old))
      forget(old)
    end
  end
  announce_end({ id })
  tell_end(id, record, end_of(DEAD, now, failure))
end

local function end_cancelled(id, record, reason, now, keep)
  local outcome = end_of(CANCELLED, now, reason)
  release_unique(id, record, UNIQUE_UNTIL_STARTED + UNIQUE_UNTIL_FINISHED)
  finish(cancelled, { id }, { id, outcome }, 1, 2, keep)
  tell_end(id, record, outcome)
end

-- Written as `failure.rs` reads it.
local function expiry_failure(now)
  return '{"kind":"expired","message":"not started before its expiry","at":' .. format('%.0f', now) .. '}'
end
