-- Gives runs what they wait for: an event, or the result of what they invoked. A run that is suspended goes on.
--
-- keys: meta jobs ready ranked withdrawn laned places lanes ring parked scheduled expiring leased ended completed cancelled dead tries failures progress logs steps journal unique wake outbox watched
-- uses: lane clock memory record wake ready unique forget finish locate journal
-- argv: now or '', per delivery: run, number of the open entry, entry that resolves it
-- replies: {now, per delivery: ok | closed (it waits no more) | gone (no such run, or it has ended)}; one that has ended and still has the
--          entry open is given it all the same, for when it is started again
-- cost: O(deliveries), O(log n) for each run that is suspended
-- holds: an open entry is resolved once; repeated, nothing changes. A run about to be suspended finds that its journal has grown.

local now = now_ms(ARGV[1])
local FIRST, FIELDS = 2, 3

write_despite_full_memory()

local function deliver(run, number, entry)
  local state, _, record = locate(run)
  if not state then
    return 'gone'
  end
  local has_ended = state == 'completed' or state == 'cancelled' or state == 'dead'
  if not close_entry(run, number) then
    return has_ended and 'gone' or 'closed'
  end
  append_entry(run, count_of_entries(run) + 1, entry, false)
  if has_ended then
    return 'gone'
  end
  if state == 'scheduled' then
    unlink(run, state, record)
    push_ready(run, record, false)
  end
  return 'ok'
end

local outcomes = {}
for at = FIRST, #ARGV, FIELDS do
  outcomes[#outcomes + 1] = deliver(ARGV[at], ARGV[at + 1], ARGV[at + 2])
end
wake_one()
return { now, outcomes }
