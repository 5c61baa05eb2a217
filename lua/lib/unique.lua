-- Unique keys: key -> id of the job that holds it. A window's key is let go by time, whatever became of the job.

local function release_unique(id, record, flag)
  if has_flag(record, flag) then
    local key = unique_key_of(record)
    if call('HGET', unique, key) == id then
      call('HDEL', unique, key)
    end
  end
end
