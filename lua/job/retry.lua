-- Makes ended jobs ready again with all their attempts; redriving dead letters is this too. A run goes on after the last of
-- its steps that worked.
--
-- keys: meta jobs ready ranked withdrawn laned places lanes ring parked scheduled expiring leased held ended completed cancelled dead tries failures progress logs steps journal unique windows cancels wake outbox watched
-- uses: lane clock record wake ready unique windows forget finish locate journal
-- argv: now or '', ms until the first, ms between one and the next (0: all at once), '1' dead letters only, then
--       per job: id, new record or ''
-- replies: {now, per job: ok | gone | <the state it is in>, 'held <id>' if its unique key is taken}
-- cost: O(jobs · log n), plus O(retained) for each that had completed or was cancelled
-- holds: a job goes back once; one that is not ended is left alone.

local now, after, spacing, dead_only = now_ms(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4] == '1'
local FIRST, FIELDS = 5, 2

local function retry(id, edited)
  local state, _, kept = locate(id)
  if not state then
    return 'gone'
  end
  if state == 'leased' or state == 'ready' or state == 'scheduled' or (dead_only and state ~= 'dead') then
    return state
  end
  local record = edited ~= '' and edited or kept
  local entries = count_of_entries(id)
  -- A run that goes on has started: nobody may give it another input.
  if has_flag(record, UNIQUE_UNTIL_FINISHED + (entries == 0 and UNIQUE_UNTIL_STARTED or 0)) then
    local key = unique_key_of(record)
    local holder = holder_of(key, now)
    if holder then
      return 'held ' .. holder
    end
    take_key(key, id, now)
  end
  unlink(id, state, kept)
  call('HDEL', tries, id)
  call('HDEL', failures, id)
  call('HDEL', progress, id)
  if edited ~= '' then
    call('HSET', jobs, id, edited)
  end
  if entries > 0 then
    -- `Op::Again` of run/entry.rs.
    append_entry(id, entries + 1, '{"step":"","at":' .. format('%.0f', now) .. ',"op":"again"}', false)
  end
  if after > 0 then
    call('ZADD', scheduled, math.floor(now + after), id)
  else
    push_ready(id, record, false)
  end
  return 'ok'
end

local outcomes = {}
for at = FIRST, #ARGV, FIELDS do
  local outcome = retry(ARGV[at], ARGV[at + 1])
  if outcome == 'ok' then
    after = after + spacing
  end
  outcomes[#outcomes + 1] = outcome
end
wake_one()
return { now, outcomes }
