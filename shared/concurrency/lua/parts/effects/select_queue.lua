-- For scripts over several queues. Behind the KEYS of the header stand the same keys of other queues, each group in the order of
-- the header, and then keys of users. The parts work on the queue that is selected; the first group is the script's own queue.
local function key_at(place) return KEYS[place] end

local function select_queue(first)
  pending, returned, suspects, delayed, putters = KEYS[first], KEYS[first + 1], KEYS[first + 2], KEYS[first + 3], KEYS[first + 4]
  bodies, handed, sessions, idle, lanes = KEYS[first + 5], KEYS[first + 6], KEYS[first + 7], KEYS[first + 8], KEYS[first + 9]
  ids, ids_due, settings, totals = KEYS[first + 10], KEYS[first + 11], KEYS[first + 12], KEYS[first + 13]
  name, stamp = name_of(pending), nil
  -- FLOW
  tails, behind, passed, released = KEYS[first + 14], KEYS[first + 15], KEYS[first + 16], KEYS[first + 17]
  line_own, let_in, flow, tags = KEYS[first + 18], KEYS[first + 19], KEYS[first + 20], KEYS[first + 21]
  ready, line_fair, gated, running, opens = KEYS[first + 22], KEYS[first + 23], KEYS[first + 24], KEYS[first + 25], KEYS[first + 26]
  once = KEYS[first + 27]
  order.forget()
  -- END
end
