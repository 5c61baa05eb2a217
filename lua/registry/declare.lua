-- Declares functions: what each is and what starts it. The version of all of them grows if that is not what was known. Of the
-- versions of such a function those that nobody has declared for a while are taken off: the others get the events.
--
-- keys: functions functions_declared functions_version
-- uses: clock
-- argv: now or '', ms after which a version that nobody declares is taken off, per function: name, what it is as JSON
-- replies: the version
-- cost: O(functions · log n)
-- holds: a repeated call changes nothing; a function that was declared is not without any version.

local now, grace = now_ms(ARGV[1]), tonumber(ARGV[2])
local FIRST, SILENT_AT_ONCE = 3, 1000
local VERSION = '@.*$'

local changed, alive = false, {}
for at = FIRST, #ARGV, 2 do
  local name = ARGV[at]
  if call('HGET', functions, name) ~= ARGV[at + 1] then
    call('HSET', functions, name, ARGV[at + 1])
    changed = true
  end
  call('ZADD', functions_declared, now, name)
  alive[string.gsub(name, VERSION, '')] = true
end
for _, name in ipairs(call('ZRANGEBYSCORE', functions_declared, '-inf', now - grace, 'LIMIT', 0, SILENT_AT_ONCE)) do
  if alive[string.gsub(name, VERSION, '')] then
    call('HDEL', functions, name)
    call('ZREM', functions_declared, name)
    changed = true
  end
end
if changed then
  return call('INCR', functions_version)
end
return tonumber(call('GET', functions_version) or 0)
