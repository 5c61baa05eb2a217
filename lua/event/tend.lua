-- Looks after a shard: delivers what falls due, takes over what another router left behind or hands a router its own again, trims
-- by age.
--
-- keys: stream events future own owned started
-- uses: clock history
-- argv: now or '', group, router, ms after which what a router has not acknowledged is taken over, most entries to take over,
--       most of each kind to work off, events kept, ms for which they are kept, ms after which a silent router is forgotten,
--       '1' if the router is to have what is its own once more, instead of what others left
-- replies: {now, when there is more to do in ms or '': an event of the future is due, others' entries may be taken over, or more
--          of the history may be trimmed;
--          entries that are the router's own from now, as the stream has them}
-- cost: O(limits + routers)
-- holds: the group exists; an event is delivered once it is due; nothing is forgotten that was not acknowledged.

local now, group, router, idle = now_ms(ARGV[1]), ARGV[2], ARGV[3], tonumber(ARGV[4])
local take, limit, keep, keep_ms, silence =
  ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
local again = ARGV[10] == '1'
-- What has been handed out more often is left to all routers: maybe this one cannot do it.
local AGAIN_AT_MOST = 10
-- How soon there is more to trim, after a burst.
local TRIM_ON_MS = 250

-- Redis lets a script that has written go on when memory is full, and this write changes nothing.
call('HDEL', started, '')

if call('EXISTS', stream) == 0 or #call('XINFO', 'GROUPS', stream) == 0 then
  call('XGROUP', 'CREATE', stream, group, '0', 'MKSTREAM')
end

local due = call('ZRANGEBYSCORE', future, '-inf', now, 'LIMIT', 0, limit)
for _, member in ipairs(due) do
  local key, name, own_id = match(member, '^(%S+) (%S+) (%S*)$')
  if own_id ~= '' then
    call('XADD', stream, '*', 'key', key, 'name', name, 'own', own_id)
  else
    call('XADD', stream, '*', 'key', key, 'name', name)
  end
end
if #due > 0 then
  call('ZREM', future, unpack(due))
end
local next_due = call('ZRANGE', future, 0, 0, 'WITHSCORES')[2]
local next_at = next_due and tonumber(next_due) or math.huge

local claimed
if again then
  local mine = {}
  for _, pending in ipairs(call('XPENDING', stream, group, '-', '+', take, router)) do
    if pending[4] <= AGAIN_AT_MOST then
      mine[#mine + 1] = pending[1]
    end
  end
  -- Claimed once more, so that they are its own from now, on replicas too.
  claimed = #mine > 0 and call('XCLAIM', stream, group, router, 0, unpack(mine)) or {}
else
  claimed = call('XAUTOCLAIM', stream, group, router, idle, '0-0', 'COUNT', take)[2]
end
local taken = {}
for _, entry in ipairs(claimed) do
  if entry then
    taken[#taken + 1] = entry
  end
end

-- Whoever reads them died, or acknowledges them any moment.
for _, pending in ipairs(call('XPENDING', stream, group, '-', '+', take)) do
  local holder, idle_for = pending[2], pending[3]
  if holder ~= router then
    next_at = math.min(next_at, now + math.max(idle - idle_for, 0))
  end
end

for _, consumer in ipairs(call('XINFO', 'CONSUMERS', stream, group)) do
  local about = {}
  for i = 1, #consumer, 2 do
    about[consumer[i]] = consumer[i + 1]
  end
  if about.pending == 0 and about.idle > silence then
    call('XGROUP', 'DELCONSUMER', stream, group, about.name)
  end
end

local free = call('ZRANGEBYSCORE', owned, '-inf', now, 'LIMIT', 0, limit)
for _, id in ipairs(free) do
  local key = call('HGET', own, id)
  if key and call('HEXISTS', events, key) == 0 then
    call('HDEL', own, id)
  end
end
if #free > 0 then
  call('ZREM', owned, unpack(free))
end

if trim_history(now, keep, keep_ms, limit) then
  next_at = math.min(next_at, now + TRIM_ON_MS)
end
return { now, next_at < math.huge and format('%.0f', next_at) or '', taken }
