-- Takes a function off that nobody declares any more: events start it no longer. Its runs stay.
--
-- keys: functions functions_declared functions_version
-- uses: clock
-- argv: now or '', ms without a word after which nobody has it, its name
-- replies: {code, the ms until it may be taken off}; codes: ok, gone (there is none of this name), declared
-- cost: O(log n)
-- holds: what a worker declares is not taken off.

local now, grace, name = now_ms(ARGV[1]), tonumber(ARGV[2]), ARGV[3]

if call('HEXISTS', functions, name) == 0 then
  return {'gone', 0}
end
local silent_at = tonumber(call('ZSCORE', functions_declared, name) or 0) + grace
if silent_at > now then
  return {'declared', silent_at - now}
end
call('HDEL', functions, name)
call('ZREM', functions_declared, name)
call('INCR', functions_version)
return {'ok', 0}
