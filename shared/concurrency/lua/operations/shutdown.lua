#!lua flags=allow-oom
-- Shuts a queue down: no put enters, and waiting puts fail. At once: what waits for delivery becomes dead letters.
-- KEYS pending returned suspects delayed putters bodies dead dead_index sessions idle ids ids_due results results_due
--   given_up joiners settings totals lanes
-- ARGV
--   immediate  1: nothing more is delivered
-- RETURNS messages still to be made dead letters: call again while there are some
-- PARTS clock identity sessions room unfinished notify wake entry answer dead_letter end_at_once stamp putter_record finish
redis.call('HSET', settings, 'shutdown', immediate == '1' and 'immediate' or 'drain')
local count = 0
local refused = {}
for _, key in ipairs(redis.call('LRANGE', putters, 0, -1)) do
  local waiting_put = redis.call('HGET', bodies, key)
  local has_no_owner = waiting_put and string.byte(waiting_put) == 43
  -- What came with an acknowledgement was accepted: it is admitted as room appears.
  if has_no_owner and immediate == '1' then
    local entry = next_stamp() .. string.sub(waiting_put, string.find(waiting_put, ' ', 1, true) + 1)
    make_dead_letter(key, entry, 'shutdown', CUT_SHORT)
    count = count + 1
  end
  if waiting_put and not has_no_owner then
    local owner = owner_of(key)
    refused[owner] = refused[owner] or {}
    table.insert(refused[owner], ' -' .. key)
  end
  if not has_no_owner or immediate == '1' then
    redis.call('LREM', putters, 1, key)
    redis.call('HDEL', bodies, key)
  end
end
count_put(0)
for owner, keys in pairs(refused) do
  local last, before = putter_record(owner)
  local all = string.match(before .. table.concat(keys), '^ ?(.*)$')
  redis.call('HSET', lanes, owner .. ':line', string.format('%.0f %.0f ', now, last) .. all)
  notify(owner, 'shutdown')
end

if immediate == '1' then end_at_once(500 - count) end
notify_if_finished(true, redis.call('HGET', settings, 'joining'))
local fresh, later = waiting()
return immediate == '1' and fresh + later or 0
