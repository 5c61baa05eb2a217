-- Has the waiter of a worker look at its queues again: the list that it blocks on gets an element.
--
-- keys: bell
-- argv: what the element says, in how many seconds it goes by itself
-- replies: 1
-- cost: O(1)
-- holds: nothing is left for ever where the worker died before it heard.

call('RPUSH', bell, ARGV[1])
call('EXPIRE', bell, ARGV[2])
return 1
