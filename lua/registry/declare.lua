-- Declares functions: what each is and what starts it. The version of all of them grows if that is not what was known.
--
-- keys: functions functions_version
-- uses:
-- argv: per function: name, what it is as JSON
-- replies: the version
-- cost: O(functions)
-- holds: a repeated call changes nothing.

local changed = false
for at = 1, #ARGV, 2 do
  if call('HGET', functions, ARGV[at]) ~= ARGV[at + 1] then
    call('HSET', functions, ARGV[at], ARGV[at + 1])
    changed = true
  end
end
if changed then
  return call('INCR', functions_version)
end
return tonumber(call('GET', functions_version) or 0)
