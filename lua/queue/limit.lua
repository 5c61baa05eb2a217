-- Sets or clears the limit of all keys of one name. Lanes that wait for such a key are looked at again, in slices: the call is
-- repeated with the cursor it answers until that is empty.
--
-- keys: meta laned places lanes ring parked limits wake
-- uses: lane memory wake
-- argv: name of the keys, limit as `limit.rs` writes it or '' for none, cursor: '' at first
-- replies: {changed: 1 if the limit was another, cursor or '' at the end}
-- cost: O(slice · log n)
-- holds: jobs that run go on; setting the same limit again changes nothing, but goes on with slices that were left.

local name, limit, cursor = ARGV[1], ARGV[2], ARGV[3]
local SLICE = 500
-- In `meta` as long as there are slices left.
local unfinished = 'limiting ' .. name

write_despite_full_memory()
local changed = 0
if cursor == '' then
  changed = (call('HGET', limits, name) or '') == limit and 0 or 1
  if changed == 0 and call('HEXISTS', meta, unfinished) == 0 then
    return { 0, '' }
  end
  if limit == '' then
    call('HDEL', limits, name)
  else
    call('HSET', limits, name, limit)
  end
end
-- `>` comes after `=`, so that these are all the keys of that name.
local waiting = call('ZRANGEBYLEX', parked, cursor == '' and '[' .. name .. '=' or '(' .. cursor, '(' .. name .. '>',
  'LIMIT', 0, SLICE)
in_lanes().unpark_all(waiting)
if #waiting > 0 then
  wake_one()
end
if #waiting < SLICE then
  call('HDEL', meta, unfinished)
  return { changed, '' }
end
call('HSET', meta, unfinished, 1)
return { changed, waiting[SLICE] }
