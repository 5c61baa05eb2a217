-- Removes waits that have ended.
--
-- keys: waits waiting lapsing
-- uses: waits
-- argv: per wait: who waits
-- replies: how many there were
-- cost: O(waits · log n)
-- holds: a wait that is not there is no mistake.

-- Redis lets a script that has written go on when memory is full, and this write changes nothing.
call('HDEL', waits, '')
return drop_waits(ARGV)
