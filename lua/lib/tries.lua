-- What has happened to a job so far, as five numbers in one string; absent until one of them is not zero.
-- Read and written by `tries.rs` too. What is not five numbers counts as none.

local function parse_tries(text)
  if not text then
    return 0, 0, 0, 0, 0
  end
  local failures, crashes, interruptions, snoozes, unhandled =
    match(text, '^(%d+) (%d+) (%d+) (%d+) (%d+)$')
  if not failures then
    return 0, 0, 0, 0, 0
  end
  return tonumber(failures), tonumber(crashes), tonumber(interruptions), tonumber(snoozes), tonumber(unhandled)
end

local function count_crash(text)
  local failures, crashes, interruptions, snoozes, unhandled = parse_tries(text)
  local counted = format('%d %d %d %d %d', failures, crashes + 1, interruptions, snoozes, unhandled)
  return counted, crashes + 1
end
