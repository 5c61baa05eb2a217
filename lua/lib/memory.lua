-- Redis refuses a script's first growing write when memory is full, but lets a script go on that has written before.
-- A script that must work then (heartbeat, settle) opens with this write that changes nothing.

local function write_despite_full_memory()
  call('HDEL', meta, '')
end
