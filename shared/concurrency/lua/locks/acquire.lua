#!lua flags=allow-oom
-- Grants a hold, or has it wait. Called again under the same id it says how things are, and keeps the waiter's place.
-- KEYS record holders waiting line readers withdrawn
-- ARGV
--   id      the hold's id
--   mode    r to read, w to write, p for a permit
--   wanted  the kind of lease: a policy (fair, readers, writers), 'lock', or 'limit N' for a semaphore of N permits
--   run_id  the server's run_id as the caller saw it
--   called  what people call it, where its keys have a digest of that; else empty
--   waits   1 to wait for it; 0 to have it at once or not at all
--   who     who asks: process id, host and task, with a space between
-- RETURNS 'granted', now in ms, token, deadline in ms, 1 if a writer keeps new readers out; 'waits', now, look again in ms;
--   these two end in the kind where another limit is stored; 'busy' instead of waiting; 'withdrawn'; or 'other', the kind that is in use
-- PARTS clock identity uncontended_acquire notify lease
local is_named = called == '' or stored[10] == called
if redis.call('ZSCORE', withdrawn, id) then return {'withdrawn'} end
prune()
notice_restart(run_id)
if not is_named then redis.call('HSET', record, 'name', called) end
local function granted()
  local deadline = held_until(id)
  if not deadline then return nil end
  local _, token = mode_and_token(id)
  return {'granted', number(now), token, number(deadline), closed_to_readers() and 1 or 0, kind ~= wanted and kind or nil}
end
local already = granted()
if already then return already end
local ttl = time_to_live(id)
if not is_kind(wanted) then
  if redis.call('EXISTS', holders, waiting) > 0 then return {'other', kind} end
  kind = wanted
  -- How long a limit is kept that somebody has set by hand: it is gone.
  if stored[11] then
    redis.call('HDEL', record, 'resized')
    stored[11] = false
  end
end
note_deadline(ttl)
redis.call('HSET', record, 'kind', kind, id .. ':who', who)
-- Who is not to wait comes behind all who do, and leaves the line at once.
if waits == '0' then advance() end
if not redis.call('ZSCORE', waiting, id) then
  if waits == '1' and mode == 'w' and kind ~= 'readers' and redis.call('ZCARD', line) == 0 then
    -- Each process once, and not too many: the others learn it from their next answer, within a second.
    local notified, told = 0, {}
    for _, reader in ipairs(redis.call('ZRANGE', holders, 0, PASSED)) do
      local owner = owner_of(reader)
      if not told[owner] and notified < UNHEARD then
        notify(reader, 'closed')
        told[owner], notified = true, notified + 1
      end
    end
  end
  redis.call('ZADD', mode == 'r' and readers or line, redis.call('HINCRBY', record, 'tickets', 1), id)
end
redis.call('ZADD', waiting, number(now + ttl), id)
if passed_over and tonumber(redis.call('ZSCORE', line, id) or passed_over + 1) <= tonumber(passed_over) then
  -- It receives again, and keeps its turn.
  redis.call('HDEL', record, 'passed_over')
  passed_over = false
end
advance(id)
keep(waiting, mode == 'r' and readers or line)
if grants > 0 then keep(record, holders) end
local given = granted()
if given then return given end
if waits == '0' then
  forget_waiter(id)
  keep(record)
  return {'busy'}
end
local look_again = math.min(LOOK_MS, ttl / 3)
-- Only those in front look again when the next deadline passes.
if redis.call('ZRANK', line, id) == 0 or redis.call('ZRANK', readers, id) == 0 then
  local first = redis.call('ZRANGE', holders, 0, 0, 'WITHSCORES')
  if first[2] then look_again = math.min(look_again, math.max(1, tonumber(first[2]) - now + 1)) end
  if quiet_until > now then look_again = math.min(look_again, quiet_until - now) end
end
if unfinished then look_again = 1 end
return {'waits', number(now), math.ceil(look_again), kind ~= wanted and kind or nil}
