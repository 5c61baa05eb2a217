-- Forgets what an event name has no use for any more: recent events over their age, waits over their time.
--
-- keys: recent bodies seen fields waits waiting lapsing facts
-- uses: clock recent waits
-- argv: now or '', ms for which recent events are kept, most of each kind to work off
-- replies: {now, code}; code: ok | empty (nothing is left under the name)
-- cost: O(limit · log n)
-- holds: nothing here is needed for an event to find its waits.

local now, keep_ms, limit = now_ms(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])

-- Redis lets a script that has written go on when memory is full, and this write changes nothing.
call('HDEL', waits, '')
trim_recent(now, 1e15, keep_ms, 1e15, limit)
drop_lapsed_waits(now, limit)
if call('EXISTS', recent, waits) > 0 then
  return { now, 'ok' }
end
call('DEL', fields, facts)
return { now, 'empty' }
