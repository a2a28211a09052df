#!lua flags=allow-oom
-- Look after the signs of life that are waited for: note that somebody does, and find those that are due.
--
-- While nobody attended (no replica ran, or the store was away) no sign of life could be taken: then each watch is given
-- one more interval, at most three times in a row, so that a daemon that starts over and over still says what is missing.
-- KEYS[1] base
-- ARGV[1] msgpack {shift, since (ms at which this replica first looked, 0 once it attends), settle ms (how long a new
--         replica waits for a sign of another one), gap ms (longer than this between two looks means: nobody), spared (how
--         often in a row), orphan ms, limit}
-- ARGV[2] msgpack list of {watch, interval ms}: what this replica is configured to wait for
-- answers {now, 1 where it attends from now on, due watches {watch, due, seen ('' for never)}, watches nobody knows any more}
local base = KEYS[1]
local o, watches = cmsgpack.unpack(ARGV[1]), cmsgpack.unpack(ARGV[2])
local shift, since, settle, gap, spared, orphan, limit = o[1], o[2], o[3], o[4], o[5], o[6], o[7]
local call, fmt = redis.call, string.format
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000) + shift
local now_text = fmt('%.0f', now)
local beats = base .. ':beats'

local mark = tonumber(call('GET', beats .. ':attended') or '0')
local alone = since > 0 and mark <= since
if alone and mark > 0 and now - since < settle and now - mark <= gap then return { now_text, 0, {}, {} } end
local nobody = mark > 0 and (alone or now - mark > gap)
call('SET', beats .. ':attended', now_text)

local known, due = {}, {}
for i = 1, #watches do
  local watch, interval = watches[i][1], watches[i][2]
  known[watch] = true
  local at = tonumber(call('ZSCORE', beats, watch) or '')
  local later = now + interval
  if not at then
    call('ZADD', beats, fmt('%.0f', later), watch)
  elseif nobody and at < later and call('GETRANGE', base .. ':a:' .. watch, 0, 0) ~= 'F'
    and call('HINCRBY', beats .. ':spared', watch, 1) <= spared then
    call('ZADD', beats, fmt('%.0f', later), watch)
  elseif at <= now and #due < limit then
    due[#due + 1] = { watch, fmt('%.0f', at), call('HGET', beats .. ':seen', watch) or '' }
  end
end

local orphans = {}
for _, watch in ipairs(call('ZRANGEBYSCORE', beats, '-inf', fmt('%.0f', now - orphan), 'LIMIT', 0, limit)) do
  if not known[watch] then orphans[#orphans + 1] = watch end
end
return { now_text, 1, due, orphans }
