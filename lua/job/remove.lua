-- Deletes jobs and all that is kept about them; one that runs is left alone.
--
-- keys: meta jobs ready ranked withdrawn laned places lanes ring parked scheduled expiring leased held ended completed cancelled dead tries failures progress logs steps journal unique cancels wake outbox watched
-- uses: lane clock record wake ready unique forget finish locate
-- argv: state they must be in, or '' for any; then ids
-- replies: {per id: ok | gone | <the state that forbids it>}, of the first ids only if there are many entries of journals to delete:
--          the others are left as they are, for the next call
-- cost: O(ids · log n + entries of journals deleted, see lib/forget.lua), plus O(retained) for each that had completed or was cancelled
-- holds: a running job is never deleted under its handler; the first id is answered.

local only = ARGV[1]
local FIRST = 2

local function remove(id)
  local state, _, record = locate(id)
  if not state then
    return 'gone'
  end
  if state == 'leased' or (only ~= '' and state ~= only) then
    return state
  end
  if forgettable({ id }) == 0 then
    return nil
  end
  unlink(id, state, record)
  call('ZREM', expiring, id)
  release_unique(id, record, UNIQUE_UNTIL_STARTED + UNIQUE_UNTIL_FINISHED + UNIQUE_WINDOW)
  forget({ id })
  announce_end({ id })
  if state == 'ready' or state == 'scheduled' then
    tell_end(id, record, end_of(CANCELLED, now_ms(''), 'removed'))
  end
  return 'ok'
end

local outcomes = {}
for at = FIRST, #ARGV do
  local outcome = remove(ARGV[at])
  if not outcome then
    break
  end
  outcomes[#outcomes + 1] = outcome
end
return outcomes
