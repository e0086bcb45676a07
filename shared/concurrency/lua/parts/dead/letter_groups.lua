-- How many dead letters there are of each reason and class. A group is JSON of the two, each cut to 100 bytes. Reasons are free text:
-- beyond 200 groups a new one counts among OTHERS, and its letters say so, to be taken off there.
local OTHERS = 'others'

-- What there is to do with groups; made when a script asks first, for few do.
local letter_groups = nil
letter_groups = function()
  local MOST_GROUPS, MOST_GROUP_BYTES, MOST_REMOVED_BYTES = 200, 100, 2097152
  local these, bytes_removed = {}, 0

  local function group_of(reason, class)
    local function cut(text) return type(text) == 'string' and string.sub(text, 1, MOST_GROUP_BYTES) or '' end
    return cjson.encode({cut(reason), cut(class)})
  end

  -- Counts one more, and returns what it counts as.
  function these.count(reason, class)
    local group = group_of(reason, class)
    if redis.call('HINCRBY', dead_groups, group, 1) > 1 then return group end
    if redis.call('HLEN', dead_groups) - redis.call('HEXISTS', dead_groups, OTHERS) <= MOST_GROUPS then return group end
    redis.call('HDEL', dead_groups, group)
    redis.call('HINCRBY', dead_groups, OTHERS, 1)
    return OTHERS
  end

  -- Takes off one that is about to go.
  function these.uncount(letter)
    local function decoded(text)
      local good, found = pcall(cjson.decode, text)
      return good and type(found) == 'table' and found or {}
    end
    local gap = string.find(letter, '\n', 1, true) or 0
    local about = decoded(string.sub(letter, 1, gap - 1))
    local size = tonumber(string.sub(letter, gap + 50, gap + 52)) or 0
    local group = about.group or group_of(about.reason, decoded(string.sub(letter, gap + 53, gap + 52 + size)).type)
    if redis.call('HINCRBY', dead_groups, group, -1) <= 0 then redis.call('HDEL', dead_groups, group) end
  end

  -- Removes letters, in that order: until a call has read 2 MiB of them, or one that is larger. Returns how many.
  function these.remove(keys)
    local count = 0
    for _, key in ipairs(keys) do
      if bytes_removed >= MOST_REMOVED_BYTES then break end
      local letter = redis.call('HGET', dead, key)
      if letter then
        these.uncount(letter)
        bytes_removed = bytes_removed + #letter
      end
      redis.call('HDEL', dead, key)
      redis.call('ZREM', dead_index, key)
      count = count + 1
    end
    return count
  end

  letter_groups = function() return these end
  return these
end
