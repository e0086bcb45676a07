#!lua flags=allow-oom,no-writes
-- Reads the newest dead letter of a reason and a class for those who only watch: looks at 200 of them or until there is 1 MiB.
-- KEYS dead dead_index
-- ARGV
--   passed_over  how many of the newest were looked at already
--   of_reason    the reason, cut to 100 bytes
--   of_type      the message class, cut to 100 bytes; empty for those without
-- RETURNS how many were looked at all together, -1 where there are no more, then the key of the letter that was found and the letter
local function decoded(text)
  local good, found = pcall(cjson.decode, text)
  return good and type(found) == 'table' and found or {}
end
local function cut(text) return type(text) == 'string' and string.sub(text, 1, 100) or '' end
local function wanted(letter)
  local gap = string.find(letter, '\n', 1, true) or 0
  if cut(decoded(string.sub(letter, 1, gap - 1)).reason) ~= of_reason then return false end
  local size = tonumber(string.sub(letter, gap + 50, gap + 52)) or 0
  return cut(decoded(string.sub(letter, gap + 53, gap + 52 + size)).type) == of_type
end
local looked, bytes = tonumber(passed_over), 0
local keys = redis.call('ZREVRANGE', dead_index, looked, looked + 199)
for _, key in ipairs(keys) do
  local letter = redis.call('HGET', dead, key)
  looked = looked + 1
  if letter and wanted(letter) then return {looked, key, letter} end
  bytes = bytes + (letter and #letter or 0)
  if bytes >= 1048576 then return {looked} end
end
return {#keys == 200 and looked or -1}
