-- The protocol level that a queue needs stands in its settings as `flow`: nothing, or 1 once a message of it says anything of its way.
-- A script of the plain set changes nothing in a queue that has a level, and answers {'flow', LEVEL}: its caller goes over to the flow
-- set, with the same words. So does a script of the flow set that would enter messages where the level is above the known one.
local KNOWN_LEVEL = 1
local is_plain = true
-- FLOW
is_plain = false
-- END

-- Whether a newer program uses the queue: what is held here is settled, and nothing else is touched.
local function is_newer(level) return level and tonumber(level) > KNOWN_LEVEL end

-- What a script answers that is of the wrong set, or too old to enter messages; nil where it may go on.
local function refused_for(level)
  if level and (is_plain or is_newer(level)) then return {'flow', tonumber(level)} end
  return nil
end
