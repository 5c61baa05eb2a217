-- How many jobs of a queue are in each state, what it is set to, and how long its oldest ready job waits.
--
-- keys: meta jobs ready ranked withdrawn laned places lanes ring parked flow scheduled leased workers held completed cancelled dead
-- uses: clock
-- argv: now or ''
-- replies: {now, records, ready, scheduled, leased, completed, cancelled, dead, workers, held, next due at or -1,
--          record of the first ready job or '', settings as name, value pairs,
--          {jobs in lanes, places of such jobs, lanes, lanes that stand somewhere, keys there is something to say of}}
-- cost: O(workers)
-- holds: changes nothing.

local now = now_ms(ARGV[1])
local held_in_all = 0
for _, count in ipairs(call('HVALS', held)) do
  held_in_all = held_in_all + tonumber(count)
end
local due = call('ZRANGE', scheduled, 0, 0, 'WITHSCORES')[2]
local first = call('LINDEX', ready, 0) or call('ZRANGE', ranked, 0, 0)[1]
if not first then
  -- The first of some lane.
  local member = call('ZRANGE', laned, 0, 0)[1]
  first = member and match(member, '^[^%z]*%z...............(.*)$')
end
-- Every lane stands in one place; jobs without keys are in the ring as the lane '' and in `lanes` not.
local stands = call('ZCARD', ring) - (call('ZSCORE', ring, '') and 1 or 0) + call('ZCARD', parked)
return { now, call('HLEN', jobs),
  call('LLEN', ready) + call('ZCARD', ranked) - call('HLEN', withdrawn) + call('ZCARD', laned),
  call('ZCARD', scheduled), call('HLEN', leased), call('LLEN', completed), call('LLEN', cancelled),
  call('ZCARD', dead), call('ZCOUNT', workers, now, '+inf'), held_in_all, due and tonumber(due) or -1,
  first and call('HGET', jobs, first) or '', call('HGETALL', meta),
  { call('ZCARD', laned), call('HLEN', places), call('HLEN', lanes), stands, call('HLEN', flow) } }
