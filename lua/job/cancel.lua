-- Cancels a job: one that waits at once, one that runs by asking its worker.
--
-- keys: meta jobs ready ranked withdrawn laned places lanes ring parked scheduled expiring leased held ended completed cancelled dead tries failures progress logs steps journal unique cancels wake outbox watched
-- uses: lane clock memory record wake ready unique forget finish locate
-- argv: now or '', id, reason
-- replies: {now, code, token}; code: ok (instead of a token 'told' if somebody is to be told) | asked (it runs under the token) | gone (no such job) | ended (it has already)
-- cost: O(1); O(log n) for a scheduled job
-- holds: cancelling again answers the same and changes nothing.

local now = now_ms(ARGV[1])
local id, reason = ARGV[2], ARGV[3]

write_despite_full_memory()
local state, token, record = locate(id)
if not state then
  return { now, 'gone', '' }
end
if state == 'leased' then
  call('HSET', cancels, id, token .. ' ' .. reason)
  return { now, 'asked', token }
end
if state ~= 'ready' and state ~= 'scheduled' then
  return { now, 'ended', state }
end
unlink(id, state, record)
call('ZREM', expiring, id)
end_cancelled(id, record, reason, now, call('HGET', meta, 'keep_cancelled'))
return { now, 'ok', has_flag(record, TELLS) and 'told' or '' }
