-- Takes schedules from one state to the next, each only if it is still as the caller read it.
--
-- keys: states due retired
-- uses:
-- argv: per schedule: name, state as it was read, next state, when somebody must look at it in ms or '' (not before it is changed)
-- replies: per schedule: ok | stale (it was changed meanwhile, or is gone)
-- cost: O(schedules · log of all)
-- holds: of two who read the same state one takes the next step; the same step again is `ok` and changes nothing.

local FIELDS = 4

-- Redis lets a script that has written go on when memory is full, and this write changes nothing: pausing must work then.
call('ZREM', due, '')

local codes = {}
for at = 1, #ARGV, FIELDS do
  local name, as_read, following, look_at = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local state = call('HGET', states, name)
  if state == as_read or state == following then
    call('HSET', states, name, following)
    if look_at == '' or call('ZSCORE', retired, name) then
      call('ZREM', due, name)
    else
      call('ZADD', due, look_at, name)
    end
    codes[#codes + 1] = 'ok'
  else
    codes[#codes + 1] = 'stale'
  end
end
return codes
