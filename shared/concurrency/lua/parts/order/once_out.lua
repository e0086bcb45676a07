-- How a message of a NAME leaves the queue, of the flow set; see the part `once`. One that is handed out has the newest body, and the fixed
-- part and the flow of the first: its key, its place, its KEY. One that was handed out before keeps the body it has.
do
local LONGEST_HEADERS = 999

-- The entry with other FLAG, headers and body, but its own flow.
function order.with_flow_of(stub, flag, headers, body)
  local flow, found = string.match(stub, '^{"flow":"[^"]*"', 53), 0
  headers, found = string.gsub(headers, '^{"flow":"[^"]*"', '')
  if not flow or found == 0 then return stub end
  headers = flow .. headers
  if #headers > LONGEST_HEADERS then
    for _, word in ipairs({'traceparent', 'tracestate', 'baggage'}) do headers = string.gsub(headers, ',"' .. word .. '":"[^"]*"', '') end
  end
  -- A class with so long a name is no class of ours.
  if #headers > LONGEST_HEADERS then return stub end
  return string.sub(stub, 1, 48) .. flag .. string.format('%03d', #headers) .. headers .. body
end

local function merged(stub, newest)
  local length = tonumber(string.sub(newest, 2, 4)) or 0
  return order.with_flow_of(stub, string.sub(newest, 1, 1), string.sub(newest, 5, 4 + length), string.sub(newest, 5 + length))
end

-- What is known of those of some entries that wait under a NAME: number in the list -> NAME and when it is due; nil where there are none.
function order.named(found)
  if redis.call('HLEN', once) == 0 then return nil end
  local names, places = {}, {}
  for i, entry in ipairs(found) do
    local name = order.name(entry, 49)
    if name then names[#names + 1], places[#places + 1] = name, i end
  end
  if #names == 0 then return nil end
  local known, any = {}, false
  for n, record in ipairs(redis.call('HMGET', once, unpack(names))) do
    local due, stub = string.match(record or '', '^%d+ (%d+) ()')
    local entry = found[places[n]]
    if due and string.sub(record, stub + 16, stub + 37) == string.sub(entry, 17, 38) then
      known[places[n]], any = {name = names[n], due = tonumber(due)}, true
    end
  end
  return any and known or nil
end

-- The entry as it is handed out. One at a time: the newest body may be far larger than what stands in the queue.
function order.newest(entry, name)
  local newest = redis.call('HGET', once, '=' .. name)
  return newest and merged(entry, newest) or entry
end

function order.forget_name(name, message) redis.call('HDEL', once, name, '=' .. name, '#' .. message) end

-- An entry that ends without being handed out: as it would have been, and its NAME is free.
function order.last_of(entry)
  local known = order.named({entry})
  if not known then return entry end
  local newest = order.newest(entry, known[1].name)
  order.forget_name(known[1].name, string.sub(entry, 17, 38))
  return newest
end

-- The NAME of a message that is never handed out is free, whatever becomes of its entry.
function order.free_name_of(message)
  local name = redis.call('HGET', once, '#' .. message)
  if name then order.forget_name(name, message) end
end
end
