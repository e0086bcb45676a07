-- A process that is a consumer service says so when it registers: it can be told to drain. Its record lies in its lanes:
-- 'NOW SESSION', and ' drain' behind once it was told, which holds for its later sessions too.
local function consumer_record(owner)
  local session_then, told = string.match(redis.call('HGET', lanes, owner .. ':consumer') or '', '^%d+ (%S+)( ?.*)$')
  return session_then, told == ' drain'
end
local function record_consumer(id, told)
  local record = string.format('%.0f', now) .. ' ' .. id .. (told and ' drain' or '')
  redis.call('HSET', lanes, owner_of(id) .. ':consumer', record)
end
