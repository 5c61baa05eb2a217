-- One marker in the wake list brings one idle worker. A second marker would bring a worker for nothing,
-- and a worker that leaves ready jobs behind puts the marker back, so one is enough.

local function wake_one()
  if call('EXISTS', wake) == 0 then
    call('RPUSH', wake, 1)
  end
end
