-- A consumer service says that it is one when it registers: it can be drained. Its record stands among its lanes: `NOW SESSION`,
-- and ` drain` behind once it is to drain, which holds for its later sessions too.
local function consumer_record(owner)
  local session_then, mark = string.match(redis.call('HGET', lanes, owner .. ':consumer') or '', '^%d+ (%S+)( ?.*)$')
  return session_then, mark == ' drain'
end
local function record_consumer(id, drains)
  local record = string.format('%.0f', now) .. ' ' .. id .. (drains and ' drain' or '')
  redis.call('HSET', lanes, owner_of(id) .. ':consumer', record)
end
