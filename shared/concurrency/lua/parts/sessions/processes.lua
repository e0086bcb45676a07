-- Which process a session is: 'NOW PID HOST' in the lanes, under SESSION:process, for as long as the session is listed.
local function record_process(id, pid, host)
  redis.call('HSET', lanes, id .. ':process', string.format('%.0f', now) .. ' ' .. pid .. ' ' .. host)
end
local function process_record(id)
  local pid, host = string.match(redis.call('HGET', lanes, id .. ':process') or '', '^%d+ (%d+) (.*)$')
  return tonumber(pid or 0), host or ''
end
-- What it measured, 'NOW JSON' under SESSION:load, for as long.
local function record_load(id, measured)
  redis.call('HSET', lanes, id .. ':load', string.format('%.0f', now) .. ' ' .. measured)
end
local function forget_process(id) redis.call('HDEL', lanes, id .. ':process', id .. ':load') end
local function is_process_of_session(field)
  local id = string.match(field, '^(.*):process$') or string.match(field, '^(.*):load$')
  return id ~= nil and redis.call('ZSCORE', sessions, id) ~= false
end
