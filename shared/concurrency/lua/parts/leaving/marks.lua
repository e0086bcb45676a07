-- Marks of messages that nobody wants any more: the key of the message -> when, in ms. A whole number: its submitter cancelled the
-- future, and whoever has the message in hands goes on. With a half behind: `cancel` was called for it, and it never begins again; with
-- a quarter: both. The script that ends a message takes its mark off.
local MARK_MS, MOST_ENDED = 691200000, 500
local any_marks = nil

-- Whether there are any: while there are none, all this costs one look for each script that asks.
local function has_marks()
  if any_marks == nil then any_marks = redis.call('ZCARD', marks) > 0 end
  return any_marks
end

local function prune_marks()
  if has_marks() then redis.call('ZREMRANGEBYSCORE', marks, '-inf', string.format('%.0f', now - MARK_MS)) end
end

local function is_given_up(mark) return tonumber(mark) % 1 == 0 end
local function is_wanted(mark) return tonumber(mark) % 1 == 0.5 end

-- Marks a message whose submitter wants it no more; a mark of `cancel` stays one.
local function give_up(key)
  local mark = redis.call('ZSCORE', marks, key)
  local also = mark and not is_given_up(mark) and 0.25 or 0
  redis.call('ZADD', marks, string.format('%.2f', now + also), key)
end

-- Marks a message for which `cancel` is called; one that its submitter has given up stays so, too.
local function mark_cancelled(key)
  local mark = redis.call('ZSCORE', marks, key)
  redis.call('ZADD', marks, string.format('%.2f', now + (mark and not is_wanted(mark) and 0.25 or 0.5)), key)
  redis.call('PEXPIRE', marks, MARK_MS)
end

-- Whether `cancel` was called for the message.
local function is_cancelled(key)
  local mark = has_marks() and redis.call('ZSCORE', marks, key)
  return mark and not is_given_up(mark)
end

-- Notifies those who wait to know what became of a message: they look at the lanes then, where it stands under KEY:cancel,
-- `NOW WHAT OWNERS`; WHAT is `-` until it is known.
local function notify_cancellers(key, what)
  local owners = string.match(redis.call('HGET', lanes, key .. ':cancel') or '', '^%d+ %S+ (.*)$')
  if not owners then return end
  redis.call('HSET', lanes, key .. ':cancel', string.format('%.0f', now) .. ' ' .. what .. ' ' .. owners)
  for owner in string.gmatch(owners, '%S+') do notify(owner, 'done', key .. ' ' .. what) end
end

-- Takes the mark of a message off that ends here, as WHAT: removed, stopped or finished. Returns the mark.
local function end_mark(key, what)
  local mark = has_marks() and redis.call('ZSCORE', marks, key)
  if not mark then return nil end
  redis.call('ZREM', marks, key)
  notify_cancellers(key, what)
  return mark
end

-- The marks of some entries, or of receipts, in their order.
local function marks_of(entries)
  local keys = {}
  for i, entry in ipairs(entries) do keys[i] = string.sub(entry, 17, 38) end
  return redis.call('ZMSCORE', marks, unpack(keys))
end

-- Takes the marks off that no message has any more, for nothing of the queue is left: they were set for what had ended.
local function end_stray_marks()
  local found = redis.call('ZRANGE', marks, 0, MOST_ENDED - 1, 'WITHSCORES')
  for i = 1, #found, 2 do
    -- What a submitter has given up may be on its way into the queue.
    if not is_given_up(found[i + 1]) then end_mark(found[i], 'finished') end
  end
end
