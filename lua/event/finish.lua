-- Acknowledges events that have been routed, and keeps what each of them started.
--
-- keys: stream events own owned started
-- uses: clock history
-- argv: now or '', group, ms until which the router owns what it read, events kept, ms for which they are kept, then per event:
--       place in the stream, key or '' for one that is gone, what it started as JSON
-- replies: {now, code}; code: ok | late (another router may have taken the events over; nothing was changed)
-- cost: O(events)
-- holds: an event that is not acknowledged is routed again by somebody.

local now, group, owned_until = now_ms(ARGV[1]), ARGV[2], tonumber(ARGV[3])
local keep, keep_ms = tonumber(ARGV[4]), tonumber(ARGV[5])
local FIRST, FIELDS = 6, 3

if now > owned_until then
  return { now, 'late' }
end
-- Redis lets a script that has written go on when memory is full, and this write changes nothing.
call('HDEL', started, '')
local ids, outcomes, over = {}, {}, {}
for at = FIRST, #ARGV, FIELDS do
  ids[#ids + 1] = ARGV[at]
  if ARGV[at + 1] ~= '' then
    outcomes[#outcomes + 1] = ARGV[at + 1]
    outcomes[#outcomes + 1] = ARGV[at + 2]
  else
    over[#over + 1] = ARGV[at]
  end
end
local acknowledged = call('XACK', stream, group, unpack(ids))
if #outcomes > 0 and acknowledged == #ids then
  call('HSET', started, unpack(outcomes))
elseif #outcomes > 0 then
  -- This call comes late, after the same router has done it again: what was kept then stays, and of what is gone nothing is kept.
  for at = 1, #outcomes, 2 do
    if call('HEXISTS', events, outcomes[at]) == 1 then
      call('HSETNX', started, outcomes[at], outcomes[at + 1])
    end
  end
end
if #over > 0 then
  -- What only announced an event of the future has nothing to say any more.
  call('XDEL', stream, unpack(over))
end
if call('XLEN', stream) > keep then
  trim_history(now, keep, keep_ms, 2 * #ids + 10)
end
return { now, 'ok' }
