-- All that is known about some jobs.
--
-- keys: meta jobs ready ranked withdrawn laned places lanes ring parked scheduled expiring leased held ended completed cancelled dead tries failures progress logs steps journal unique cancels wake outbox watched
-- uses: memory lane clock record wake ready unique forget finish locate
-- argv: now or '', '1' to be told when the jobs end, then ids
-- replies: {now, per id: false or {state, detail (token | end | since | due), record, tries, failure, progress}}
-- cost: O(ids)
-- holds: changes nothing but who is told of an end; a full Redis lets callers be told.

local now, watch = now_ms(ARGV[1]), ARGV[2] == '1'
local FIRST = 3

if watch then
  write_despite_full_memory()
end

local found = {}
for at = FIRST, #ARGV do
  local id = ARGV[at]
  local state, detail, record = locate(id)
  if state then
    found[#found + 1] = { state, detail, record, call('HGET', tries, id),
      call('HGET', failures, id), call('HGET', progress, id) }
    if watch and (state == 'ready' or state == 'scheduled' or state == 'leased') then
      call('HSET', watched, id, format('%.0f', now))
    end
  else
    found[#found + 1] = false
  end
end
return { now, found }
