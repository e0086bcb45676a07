-- An entry: STAMP(16) KEY(22) CRASHES(1) DELIVERIES(6) FAILURES(3) FLAG(1) LENGTH(3), JSON headers of that length, the body.
-- Its first 45 bytes are its receipt: they name one delivery of it. FLAG says whether the headers hold the caller's id (`i`),
-- whether somebody asked for the result (`r`), both (`s`) or neither (`.`). An outgoing entry has no stamp yet.
local NEITHER, ID, RESULT, BOTH = 46, 105, 114, 115

local function key_of(entry) return string.sub(entry, 17, 38) end
local function crashes_of(entry) return tonumber(string.sub(entry, 39, 39)) or 0 end

local function is_entry(text)
  local flag = string.byte(text, 49)
  return #text >= 52 and (flag == NEITHER or flag == ID or flag == RESULT or flag == BOTH)
end

-- Whether it is an entry but for its FLAG, a letter of a later protocol: who knows it can read it.
local function is_of_later_protocol(text)
  return string.find(text, '^' .. string.rep('%d', 16) .. string.rep('.', 22) .. string.rep('%d', 10) .. '%l%d%d%d') ~= nil
end

-- Whether somebody asked for the result; the first 12 bytes of the key say who.
local function is_asked(entry)
  local flag = string.byte(entry, 49)
  return #entry >= 52 and (flag == RESULT or flag == BOTH)
end

local function headers_of_entry(entry)
  local good, found = pcall(cjson.decode, string.sub(entry, 53, 52 + tonumber(string.sub(entry, 50, 52))))
  return good and type(found) == 'table' and found or {}
end

-- The entry with other headers; '' leaves those it has.
local function with_headers(entry, headers)
  if headers == '' or #headers > 999 then return entry end
  local body = string.sub(entry, 53 + tonumber(string.sub(entry, 50, 52)))
  return string.sub(entry, 1, 49) .. string.format('%03d', #headers) .. headers .. body
end

-- The entry once its delivery is over: one delivery more, and a crash or a failure where there was one.
local function counted(entry, crash, failure)
  return string.sub(entry, 1, 38)
    .. math.min(9, crashes_of(entry) + crash)
    .. string.format('%06d', math.min(999999, tonumber(string.sub(entry, 40, 45)) + 1))
    .. string.format('%03d', math.min(999, tonumber(string.sub(entry, 46, 48)) + failure))
    .. string.sub(entry, 49)
end

-- The 45 bytes of each of some receipts that are joined.
local function receipts_in(joined)
  local receipts = {}
  for at = 1, #joined, 45 do receipts[#receipts + 1] = string.sub(joined, at, at + 44) end
  return receipts
end
