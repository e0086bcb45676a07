-- The protocol level that a queue needs stands in its settings as `flow`: nothing, or 1 once a message of it says anything of its way.
-- A script of the plain set, which knows none, changes nothing in a queue that has one, and answers {'flow', LEVEL}: its caller goes over
-- to the flow set, with the same words. So does a script of the flow set that would enter messages where it does not know the level.
local KNOWN_LEVEL = 0
-- FLOW
KNOWN_LEVEL = 1
-- END
