-- Reads on in the waits an event may end, where `event/route` could not answer them all.
--
-- keys: waits waiting lapsing
-- uses: waits
-- argv: term, who waits in the last one read, most to answer
-- replies: {more ('1' or ''), who waits, the wait, …}
-- cost: O(log waits + found)
-- holds: nothing is changed.

local found, more = waits_of(ARGV[1], ARGV[2], tonumber(ARGV[3]))
table.insert(found, 1, more and '1' or '')
return found
