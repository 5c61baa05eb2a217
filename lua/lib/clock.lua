-- Time: the server's clock in milliseconds, unless the caller passes one (only tests do).

local function now_ms(given)
  if given ~= '' then
    return tonumber(given)
  end
  local time = call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
