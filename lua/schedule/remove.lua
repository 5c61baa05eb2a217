-- Deletes schedules. What they have started stays.
--
-- keys: definitions states due declared retired
-- uses:
-- argv: names
-- replies: how many there were
-- cost: O(names · log schedules)
-- holds: removing again removes nothing.

call('ZREM', due, unpack(ARGV))
call('ZREM', declared, unpack(ARGV))
call('ZREM', retired, unpack(ARGV))
call('HDEL', states, unpack(ARGV))
return call('HDEL', definitions, unpack(ARGV))
