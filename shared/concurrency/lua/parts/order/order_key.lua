-- What a message says of its way stands at the beginning of its headers: `"flow":"PRIORITY SHARE KEY LIMIT ONCE"`.
-- ORDER has what the parts of the flow set share: a script has room for 200 names.
local order = {FLAGS = {[102] = true, [103] = true, [116] = true, [117] = true}, MESSAGE_BYTES = 22}

-- The KEY of an entry whose flag stands at FLAG_AT (49; 33 where it has no stamp yet); nil where it has none.
function order.key(entry, flag_at)
  if not order.FLAGS[string.byte(entry, flag_at)] then return nil end
  local key = string.match(entry, '^{"flow":"%d %S* (%S*) ', flag_at + 4)
  return key ~= '' and key or nil
end

-- The NAME of an entry of which one at most is to wait, and where its headers go on behind it; nil where it has none.
function order.name(entry, flag_at)
  if not order.FLAGS[string.byte(entry, flag_at)] then return nil end
  return string.match(entry, '^{"flow":"%d %S* %S* %S* ([^%s"]+)"()', flag_at + 4)
end
