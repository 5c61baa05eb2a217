-- The history of events: what is in the stream and has been routed, oldest first. What waits to be routed is never trimmed.
-- An own id is forgotten with its event, unless it may not be used again yet.

-- What is younger stays, however much there is: a call that sent it may come again, and is known by the events that are there. An
-- announcement of an event of the future goes once it was read; one that nobody has read by then goes too, since whoever comes looks
-- at the future by himself.
local YOUNG_MS = 60000

-- The last place in the stream at which an event is old enough to go.
local function last_old(now)
  local newest = call('XREVRANGE', stream, '+', '-', 'COUNT', 1)[1]
  -- Where Redis' clock has gone back, places stay where they were until it has caught up.
  local is_ahead = newest and tonumber(match(newest[1], '^%d+')) > now + YOUNG_MS
  return is_ahead and '+' or format('%.0f', now - YOUNG_MS)
end

-- Looks at up to `limit` events; those over `keep` in number or older than `keep_ms` go. Returns whether more may go.
local function trim_history(now, keep, keep_ms, limit)
  local over = call('XLEN', stream) - keep
  local ids, keys, own_ids, announcements = {}, {}, {}, {}
  local entries = call('XRANGE', stream, '-', last_old(now), 'COUNT', limit)
  local more = #entries == limit
  for i, entry in ipairs(entries) do
    if i > over and tonumber(match(entry[1], '^%d+')) > now - keep_ms then
      more = false
      break
    end
    local fields = entry[2]
    if fields[1] == 'key' then
      ids[#ids + 1], keys[#keys + 1], own_ids[#own_ids + 1] = entry[1], fields[2], fields[6] or ''
    else
      announcements[#announcements + 1] = entry[1]
    end
  end
  if #announcements > 0 then
    call('XDEL', stream, unpack(announcements))
  end
  if #ids == 0 then
    return false
  end
  local routed, old_ids, old_keys = call('HMGET', started, unpack(keys)), {}, {}
  for i, outcome in ipairs(routed) do
    if outcome then
      old_ids[#old_ids + 1], old_keys[#old_keys + 1] = ids[i], keys[i]
      if own_ids[i] ~= '' and call('HGET', own, own_ids[i]) == keys[i] and not call('ZSCORE', owned, own_ids[i]) then
        call('HDEL', own, own_ids[i])
      end
    end
  end
  if #old_ids > 0 then
    call('XDEL', stream, unpack(old_ids))
    call('HDEL', events, unpack(old_keys))
    call('HDEL', started, unpack(old_keys))
  end
  return more and #old_ids > 0
end
