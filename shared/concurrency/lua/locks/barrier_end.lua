#!lua flags=allow-oom
-- Breaks a barrier, or makes it as new. Whoever waits waits no longer: it is broken for them.
-- KEYS barrier arrivals deadlines gaps refused outcomes
-- ARGV
--   id      of this call; a repetition carries the same, and does nothing
--   broken  1: whoever comes from now on is refused, until the next call with 0
-- RETURNS nothing
-- PARTS clock identity notify barrier
if redis.call('HEXISTS', outcomes, id) == 1 then return nil end
redis.call('HSET', outcomes, id, 'done ' .. number(now))
notify_all()
let_go(refused, 'broken')
if broken == '1' then
  redis.call('HSET', barrier, 'broken', 1)
else
  redis.call('HDEL', barrier, 'broken')
end
redis.call('PEXPIRE', barrier, REST_MS)
sweep()
return nil
