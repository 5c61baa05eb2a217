-- Replaces the record of a job that does not run, such as its payload after an edit.
--
-- keys: meta jobs ready ranked withdrawn laned places lanes ring parked scheduled expiring leased held ended completed cancelled dead tries failures progress logs steps journal unique cancels wake outbox watched
-- uses: lane clock record wake ready unique forget finish locate
-- argv: id, the record as it was read, the new record
-- replies: ok | gone | leased | completed | cancelled (the state that forbids it) | changed (the record is another by now)
-- cost: O(1)
-- holds: priority, unique key and lane are the same in both records; an edit never overwrites another edit unseen.

local id, expected, record = ARGV[1], ARGV[2], ARGV[3]

local state, _, kept = locate(id)
if not state then
  return 'gone'
end
if state ~= 'ready' and state ~= 'scheduled' and state ~= 'dead' then
  return state
end
if kept ~= expected then
  return 'changed'
end
call('HSET', jobs, id, record)
return 'ok'
