-- The verdicts of a call on its entries, as (letter, count) pairs; a repetition of the call is answered with them again.
local verdicts = {}
local function verdict(letter, count)
  if count > 0 then verdicts[#verdicts + 1] = letter .. string.format('%d', count) end
end

-- The pairs of verdicts that were recorded, as a list.
local function pairs_of(recorded)
  local list = {}
  for letter, count in string.gmatch(recorded, '(%a)(%d+)') do
    list[#list + 1] = letter
    list[#list + 1] = tonumber(count)
  end
  return list
end
