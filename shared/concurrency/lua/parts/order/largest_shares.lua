-- Which shares have most, for those who only watch, of the flow set: of a part of the flows, so that it costs no more however many there
-- are. Who reads one part after another has seen each flow once.
local FLOWS_A_PART, MOST_LISTED = 300, 10
local COST_OF_PRIORITY = {['0'] = 1, ['1'] = 8, ['2'] = 64}

-- How old the first message of a flow is that was never delivered, in us; -1 where it is not among the next ones.
local function age_of_first(name)
  local at, bytes = 0, 0
  while at < 200 and bytes < 1048576 do
    local page = redis.call('ZRANGEBYSCORE', ready, '-inf', '(1e15', 'LIMIT', at, 10)
    for _, entry in ipairs(page) do
      if order.flow(entry, 49) == name then return math.max(0, now_us - (tonumber(string.sub(entry, 1, 16)) or now_us)) end
      bytes = bytes + #entry
    end
    if #page < 10 then break end
    at = at + 10
  end
  return -1
end

-- What the other fields of these flows say: the tags that they have in the line, those that they have outside of it for fields of the line,
-- and their weights. Asked only where there is something to say.
local function look_up_flows(fields, has_line, has_weights)
  local others, weights = {}, {}
  for i, field in ipairs(fields) do
    local is_of_line = string.byte(field) == 76
    if has_line then others[i] = is_of_line and string.sub(field, 2) or 'L' .. field end
    if has_weights then weights[i] = 'w:' .. string.sub(field, is_of_line and 4 or 3) end
  end
  return has_line and redis.call('HMGET', tags, unpack(others)) or {}, has_weights and redis.call('HMGET', flow, unpack(weights)) or {}
end

-- The fields of some flows and their tags: not those at gates (G), which have turns of their own, nor of a line that is empty (L).
local function some_flows(found, has_line)
  local fields, own = {}, {}
  for i = 1, #found, 2 do
    local kind = string.byte(found[i])
    if kind ~= 71 and (kind ~= 76 or has_line) then fields[#fields + 1], own[#own + 1] = found[i], tonumber(found[i + 1]) or 0 end
  end
  return fields, own
end

-- Of the flows from CURSOR on: where to go on, '0' at the end; how many of them have something that waits; the age of the first message of
-- the largest; and the largest, each as four: NAME, how many messages wait, how many puts, weight.
local function largest_shares(cursor)
  local next_cursor, found = unpack(redis.call('HSCAN', tags, cursor, 'COUNT', FLOWS_A_PART))
  if #found == 0 then return {next_cursor, 0, -1, {}} end
  local time, has_line = redis.call('HMGET', flow, 'V', 'LV', 'weights'), redis.call('EXISTS', line_fair) == 1
  local V, LV, count, largest = tonumber(time[1] or 0), tonumber(time[2] or 0), 0, {}
  local fields, own = some_flows(found, has_line)
  if #fields == 0 then return {next_cursor, 0, -1, {}} end
  local others, weights = look_up_flows(fields, has_line, time[3])
  for i, name in ipairs(fields) do
    local tag, tag_in_line = own[i], others[i] or LV
    if string.byte(name) == 76 then
      -- One that has both is counted under the field of what may go.
      name, tag, tag_in_line = string.sub(name, 2), V, others[i] and LV or own[i]
    end
    local cost = COST_OF_PRIORITY[string.sub(name, 1, 1)] / (weights[i] or 1)
    local messages, puts = math.floor(math.max(0, tag - V) / cost + 0.5), math.floor(math.max(0, tag_in_line - LV) / cost + 0.5)
    local sum, last = messages + puts, largest[MOST_LISTED]
    if sum > 0 then
      count = count + 1
      if not last or sum > last[5] then
        largest[last and MOST_LISTED or #largest + 1] = {name, messages, puts, weights[i] or '1', sum}
        table.sort(largest, function(one, other) return one[5] > other[5] end)
      end
    end
  end
  local listed = {}
  for _, each in ipairs(largest) do
    for i = 1, 4 do listed[#listed + 1] = each[i] end
  end
  return {next_cursor, count, largest[1] and age_of_first(largest[1][1]) or -1, listed}
end
