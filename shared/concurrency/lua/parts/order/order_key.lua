-- What a message says of its way stands at the beginning of its headers: `"flow":"PRIORITY SHARE KEY LIMIT ONCE"`.
-- ORDER has what the parts of the flow set share: a script has room for 200 names.
local order = {FLAGS = {[102] = true, [103] = true, [116] = true, [117] = true}, MESSAGE_BYTES = 22}

-- All that an entry says of its way, whose flag stands at FLAG_AT (49; 33 where it has no stamp yet): its flow, `PRIORITY SHARE`, and KEY,
-- LIMIT and ONCE, '' where nothing is asked; nothing where it says nothing of it.
function order.way(entry, flag_at)
  if not order.FLAGS[string.byte(entry, flag_at)] then return nil end
  return string.match(entry, '^{"flow":"([012] [^ "]*) ([^ "]*) ([^ "]*) ([^ "]*)"', flag_at + 4)
end

-- Its KEY; nil where it has none.
function order.key(entry, flag_at)
  local _, key = order.way(entry, flag_at)
  return key ~= '' and key or nil
end

-- Its flow; nil for the default one, which is that of normal priority without a share.
function order.flow(entry, flag_at)
  local found = order.way(entry, flag_at)
  return found ~= '1 ' and found or nil
end

-- The NAME of an entry of which one at most is to wait, and where its headers go on behind it; nil where it has none.
function order.name(entry, flag_at)
  if not order.FLAGS[string.byte(entry, flag_at)] then return nil end
  return string.match(entry, '^{"flow":"[012] [^ "]* [^ "]* [^ "]* ([^ "]+)"()', flag_at + 4)
end
