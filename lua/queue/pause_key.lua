-- Pauses a key, so that no job with it starts until it is resumed; or resumes it.
--
-- keys: meta laned places lanes ring parked opening limits flow wake
-- uses: lane flow clock memory wake
-- argv: now or '', key, '1' to pause or '' to resume
-- replies: {now, changed: 1 if it was not so before}
-- cost: O(lanes that wait for it, at most a slice · log n); the others follow as these are served
-- holds: jobs that run go on; a key keeps the time at which it was first paused.

local now, key, pauses = now_ms(ARGV[1]), ARGV[2], ARGV[3] == '1'

write_despite_full_memory()
local keyed = by_key()
keyed.learn({ key })
local state = keyed.known[key]
if pauses == (state.paused_at > 0) then
  return { now, 0 }
end
state.changed, state.paused_at = true, pauses and now or 0
if keyed.open({ key }, now) > 0 then
  wake_one()
end
keyed.keep(now)
return { now, 1 }
