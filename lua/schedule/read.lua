-- Tells what is kept about schedules.
--
-- keys: definitions states retired
-- uses: clock
-- argv: now or '', then names
-- replies: {now, per name: false or {definition, state, since when it is retired or ''}}
-- cost: O(names)
-- holds: changes nothing.

local now = now_ms(ARGV[1])
local FIRST = 2

local found = {}
for at = FIRST, #ARGV do
  local name = ARGV[at]
  local definition, state = call('HGET', definitions, name), call('HGET', states, name)
  if definition and state then
    found[#found + 1] = { definition, state, call('ZSCORE', retired, name) or '' }
  else
    found[#found + 1] = false
  end
end
return { now, found }
