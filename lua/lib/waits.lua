-- Waits for events of a name: kept under who waits, indexed by the term of their first equality, let go by time.
-- A wait is a line with its term, since when and until when, and its condition.

local function drop_waits(refs)
  if #refs == 0 then
    return 0
  end
  local members, kept = {}, call('HMGET', waits, unpack(refs))
  for i, ref in ipairs(refs) do
    if kept[i] then
      members[#members + 1] = match(kept[i], '^%S+') .. ' ' .. ref
    end
  end
  if #members > 0 then
    call('ZREM', waiting, unpack(members))
    call('HDEL', waits, unpack(refs))
  end
  call('ZREM', lapsing, unpack(refs))
  return #members
end

local function drop_lapsed_waits(now, limit)
  return drop_waits(call('ZRANGEBYSCORE', lapsing, '-inf', now, 'LIMIT', 0, limit))
end

-- Up to `limit` waits of a term behind the one given, as who waits and the wait in turn; and whether there may be more.
local function waits_of(term, behind, limit)
  local from = behind == '' and '[' .. term .. ' ' or '(' .. term .. ' ' .. behind
  local members = call('ZRANGEBYLEX', waiting, from, '(' .. term .. '!', 'LIMIT', 0, limit)
  local found = {}
  if #members == 0 then
    return found, false
  end
  local refs = {}
  for i, member in ipairs(members) do
    refs[i] = sub(member, #term + 2)
  end
  local kept = call('HMGET', waits, unpack(refs))
  for i, ref in ipairs(refs) do
    if kept[i] then
      found[#found + 1] = ref
      found[#found + 1] = kept[i]
    end
  end
  return found, #members == limit
end
