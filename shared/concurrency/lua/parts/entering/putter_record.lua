-- What an owner gets to know of its waiting puts: the last sequence number admitted, and the keys that were not: the id was
-- known by then with another body, behind `=` with the same; behind `-` a shutdown took it out. Kept until it is received.
local function putter_record(owner)
  local record = redis.call('HGET', lanes, owner .. ':line')
  if not record then return 0, '' end
  local last, refused = string.match(record, '^%d+ (%d+) ?(.*)$')
  return tonumber(last), refused
end
