-- Puts that a shutdown takes out of the line: their owners get to know of them, in the order of the line.
local shut_out = {}
local function refuse(key)
  local owner = owner_of(key)
  shut_out[owner] = shut_out[owner] or {}
  table.insert(shut_out[owner], ' -' .. key)
end
local function tell_shut_out()
  for owner, keys in pairs(shut_out) do
    local last, before = putter_record(owner)
    local all = string.match(before .. table.concat(keys), '^ ?(.*)$')
    redis.call('HSET', lanes, owner .. ':line', string.format('%.0f %.0f ', now, last) .. all)
    notify(owner, 'shutdown')
  end
  shut_out = {}
end
