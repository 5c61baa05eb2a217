-- Keeps progress and log lines of running jobs, as long as the lease they were written under is held.
--
-- keys: meta leased progress logs
-- uses: memory
-- argv: most bytes of log kept per job, then per note: kind (progress | log), id, token, text
-- replies: {ids whose lease is lost}
-- cost: O(notes); a log line costs a copy of the job's log, which is bounded
-- holds: an attempt that lost its lease writes nothing.

local most = tonumber(ARGV[1])
local FIRST, FIELDS = 2, 4

write_despite_full_memory()
local lost = {}
for at = FIRST, #ARGV, FIELDS do
  local kind, id, token, text = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  if call('HGET', leased, id) ~= token then
    lost[#lost + 1] = id
  elseif kind == 'progress' then
    call('HSET', progress, id, text)
  else
    local log = (call('HGET', logs, id) or '') .. text .. '\n'
    if #log > most then
      -- The oldest lines go, whole lines only.
      local cut = string.find(log, '\n', #log - most, true)
      log = sub(log, cut + 1)
    end
    call('HSET', logs, id, log)
  end
end
return lost
