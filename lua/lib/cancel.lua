-- Running jobs that shall be cancelled: id -> token they ran under when that was asked, and the reason.

-- Why the job was asked to end under this lease, and nil if it was not. The request is dropped: its lease is over.
local function take_cancellation(id, token)
  local asked = call('HGET', cancels, id)
  if not asked then
    return nil
  end
  call('HDEL', cancels, id)
  local their_token, reason = match(asked, '^(%S+) (.*)$')
  return their_token == token and reason or nil
end
