-- An entry: STAMP(16) KEY(22) CRASHES(1) DELIVERIES(6) FAILURES(3) FLAG(1) LENGTH(3), JSON headers of that length, the body.
-- Its first 45 bytes are its receipt: they name one delivery of it. FLAG says whether the headers hold the caller's id (`i`),
-- whether somebody asked for the result (`r`), both (`s`) or neither (`.`); `f`, `g`, `t` and `u` are `.`, `i`, `r` and `s` of entries
-- whose headers begin with flow. An outgoing entry has no stamp yet.
local NEITHER, ID, RESULT, BOTH, FLOW_RESULT, FLOW_BOTH = 46, 105, 114, 115, 116, 117

local function key_of(entry) return string.sub(entry, 17, 38) end

-- A number of its fixed part; 0 where another program wrote none there, which must not stop the queue.
local function number_in(entry, first, last) return tonumber(string.sub(entry, first, last)) or 0 end
local function crashes_of(entry) return number_in(entry, 39, 39) end
local function failures_of(entry) return number_in(entry, 46, 48) end

-- Its headers as they are stored, and where its body begins.
local function headers_in(entry)
  local from = 53 + number_in(entry, 50, 52)
  return string.sub(entry, 53, from - 1), from
end

local function is_entry(text)
  local flag = string.byte(text, 49)
  -- FLOW
  if order.FLAGS[flag] and #text >= 52 then return true end
  -- END
  return #text >= 52 and (flag == NEITHER or flag == ID or flag == RESULT or flag == BOTH)
end

-- Whether it is an entry but for its FLAG, a letter of a later protocol: who knows it can read it.
local function is_of_later_protocol(text)
  return string.find(text, '^' .. string.rep('%d', 16) .. string.rep('.', 22) .. string.rep('%d', 10) .. '%l%d%d%d') ~= nil
end

-- Whether somebody asked for the result; the first 12 bytes of the key say who.
local function is_asked(entry)
  local flag = string.byte(entry, 49)
  return #entry >= 52 and (flag == RESULT or flag == BOTH or flag == FLOW_RESULT or flag == FLOW_BOTH)
end

-- Whether that was under an id.
local function is_asked_by_id(entry)
  local flag = string.byte(entry, 49)
  return flag == BOTH or flag == FLOW_BOTH
end

-- What scripts use of its headers; what is of another type than ours counts as absent: another program may have written anything.
local LONGEST_KEPT_MS = 31622400000
local function headers_of_entry(entry)
  local good, found = pcall(cjson.decode, (headers_in(entry)))
  if not good or type(found) ~= 'table' then return {} end
  local function text(word) return type(found[word]) == 'string' and found[word] or nil end
  local kept = type(found.results_ms) == 'number' and found.results_ms or -1
  return {id = text('id'), type = text('type'), results_ms = kept >= 0 and kept <= LONGEST_KEPT_MS and kept or nil}
end

local function replace_headers(entry, headers)
  local _, from = headers_in(entry)
  return string.sub(entry, 1, 49) .. string.format('%03d', #headers) .. headers .. string.sub(entry, from)
end

-- The entry with other headers; '' leaves those it has.
local function with_headers(entry, headers)
  if headers == '' or #headers > 999 then return entry end
  return replace_headers(entry, headers)
end

-- The entry once its delivery is over: one delivery more, and a crash or a failure where there was one.
local function counted(entry, crash, failure)
  return string.sub(entry, 1, 38)
    .. math.min(9, crashes_of(entry) + crash)
    .. string.format('%06d', math.min(999999, number_in(entry, 40, 45) + 1))
    .. string.format('%03d', math.min(999, failures_of(entry) + failure))
    .. string.sub(entry, 49)
end

-- The 45 bytes of each of some receipts that are joined.
local function receipts_in(joined)
  local receipts = {}
  for at = 1, #joined, 45 do receipts[#receipts + 1] = string.sub(joined, at, at + 44) end
  return receipts
end
