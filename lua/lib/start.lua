-- What options of a function say about the start of a run, a line each, as `start.rs` of the client writes them:
--   window <limit> <ms> <key>         within so long after the first, at most so many start; others are dropped
--   batch <size> <bytes> <key>        its event, of so many bytes, joins the run that waits for others
-- Both are kept in `flow`, where the sweep drops what is over, under keys that no job can have: when it ends, and how many there
-- are, for a batch with the run they are in.
--
-- Its functions are made when they are first asked for: see lane.lua.

-- A batch of more bytes is full.
local LARGEST_BATCH = 8 * 1024 * 1024
local start_code
local function starting()
  if start_code then
    return start_code
  end
  local code = {}
  start_code = code

  local function read(key, now)
    local ends, what = match(call('HGET', flow, key) or '', '^0 (%d+) (%S+) 0 0$')
    ends = tonumber(ends)
    if ends and ends > now then
      return ends, what
    end
  end

  local function write(key, ends, what)
    call('HSET', flow, key, '0 ' .. format('%.0f', ends) .. ' ' .. what .. ' 0 0')
  end

  -- Whether all windows let another run start.
  function code.has_room(rules, now)
    for limit, key in string.gmatch(rules, '\nwindow (%d+) %d+ ([^\n]+)') do
      local ends, count = read(key, now)
      if ends and tonumber(count) >= tonumber(limit) then
        return false
      end
    end
    return true
  end

  -- Counts a start in all windows.
  function code.count(rules, now)
    for period, key in string.gmatch(rules, '\nwindow %d+ (%d+) ([^\n]+)') do
      local ends, count = read(key, now)
      write(key, ends or now + period, ends and count + 1 or 1)
    end
  end

  -- The run that an event can join, and how many events it has; nil if there is none. One that was begun ahead of its time, or
  -- put off, is none any more.
  local function open_batch(key, length, now)
    local ends, what = read(key, now)
    if not ends then
      return nil
    end
    local count, run = match(what, '^(%d+):(.+)$')
    local state, due, record = locate(run)
    if state == 'scheduled' and tonumber(due) == ends and #record + length <= LARGEST_BATCH then
      return run, tonumber(count), ends, record
    end
  end

  -- Lets the event of a run join one that waits for others, and returns that one. If there is none, this run waits until `due`.
  function code.join(id, rules, record, due, now)
    local size, length, key = match(rules, '\nbatch (%d+) (%d+) ([^\n]+)')
    if not size then
      return nil
    end
    local run, count, ends, kept = open_batch(key, length, now)
    if not run then
      write(key, due, '1:' .. id)
      return nil
    end
    -- Both end in `[…]}`, see run.rs of the contract.
    kept = sub(kept, 1, -3) .. ',' .. sub(record, -2 - length, -3) .. ']}'
    call('HSET', jobs, run, kept)
    if count + 1 < tonumber(size) then
      write(key, ends, (count + 1) .. ':' .. run)
      return run, false
    end
    call('HDEL', flow, key)
    unlink(run, 'scheduled', kept)
    return run, push_ready(run, kept, false)
  end

  -- Cancels the run in whose place another starts: at once if it does not run, else by asking its worker.
  function code.cancel(holder, id, now)
    local state, token, kept = locate(holder)
    local reason = 'run ' .. id .. ' takes its place'
    if state == 'leased' then
      call('HSET', cancels, holder, token .. ' ' .. reason)
      return 'asked ' .. token
    end
    if state == 'ready' or state == 'scheduled' then
      unlink(holder, state, kept)
      call('ZREM', expiring, holder)
      end_cancelled(holder, kept, reason, now, call('HGET', meta, 'keep_cancelled'))
    end
    return ''
  end

  return code
end
