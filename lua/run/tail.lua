-- Tells how many entries the journals of some runs have, and what the last of them say.
--
-- keys: steps journal
-- uses:
-- argv: how many entries of each, bytes told of an entry, then runs
-- replies: per run: {count, per entry, the last one last: number, text (its beginning, if it is longer), '1' if it is open}
-- cost: O(runs · entries told)
-- holds: changes nothing.

local most, longest = tonumber(ARGV[1]), tonumber(ARGV[2])
local FIRST = 3

local runs = {}
for at = FIRST, #ARGV do
  local run = ARGV[at]
  local count = tonumber(call('HGET', steps, run) or 0)
  local told = { count }
  for number = math.max(count - most + 1, 1), count do
    local field = run .. '.' .. number
    local text = call('HGET', journal, field)
    if text then
      told[#told + 1] = number
      told[#told + 1] = sub(text, 1, longest)
      told[#told + 1] = call('HEXISTS', journal, field .. '.open') == 1 and '1' or ''
    end
  end
  runs[#runs + 1] = told
end
return runs
