-- Resolves an entry of a run's journal that is open: an event it waited for has come, a run it invoked has ended. A run that was
-- suspended is made ready.
--
-- keys: meta jobs ready ranked withdrawn scheduled leased ended dead wake journal steps open
-- uses: clock memory record wake ready
-- argv: now or '', run id, number of the open entry, entry that resolves it as JSON
-- replies: {now, code}; code: ok | closed (it was resolved before) | gone (there is no such run, or it has ended)
-- cost: O(log n)
-- holds: an entry is resolved once, however often this is called.

local now, run, entry, resolution = now_ms(ARGV[1]), ARGV[2], ARGV[3], ARGV[4]

write_despite_full_memory()
local record = call('HGET', jobs, run)
if not record or call('HEXISTS', ended, run) == 1 or call('ZSCORE', dead, run) then
  return { now, 'gone' }
end
local field = run .. '.' .. entry
if call('HEXISTS', open, field) == 0 then
  return { now, 'closed' }
end
local number = call('HINCRBY', steps, run, 1)
call('HSET', journal, run .. '.' .. number, resolution)
call('HDEL', open, field)
if call('ZREM', scheduled, run) == 1 then
  push_ready(run, record, false)
  wake_one()
end
return { now, 'ok' }
