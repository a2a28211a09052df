#!lua flags=allow-oom
-- Mend what a walk over the keys has found, where it is still so: keys of incidents that point nowhere, and lanes whose
-- effects nobody would ever perform.
--
-- KEYS[1] base; ARGV[1] msgpack list of incident keys; ARGV[2] msgpack list of {queue, lane, urgent}; ARGV[3] shift
-- answers {keys that were dropped, lanes ('queue|lane') that are due now}
local base, call = KEYS[1], redis.call
local keys, lanes = cmsgpack.unpack(ARGV[1]), cmsgpack.unpack(ARGV[2])
local time = call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000) + tonumber(ARGV[3]))
local dropped, relisted = {}, {}
for i = 1, #keys do
  local id = call('GET', base .. ':k:' .. keys[i])
  local state = id and call('HGET', base .. ':i:' .. id, 'st')
  if id and (not state or state == 'resolved') then
    call('DEL', base .. ':k:' .. keys[i])
    dropped[#dropped + 1] = id
  end
end
for i = 1, #lanes do
  local queue, lane = base .. ':q:' .. lanes[i][1], lanes[i][2]
  local listed = call('ZSCORE', queue .. ':u', lane) or call('ZSCORE', queue .. ':n', lane)
  if not listed and call('LLEN', base .. ':l:' .. lane) > 0 then
    call('SADD', base .. ':queues', lanes[i][1])
    call('ZADD', queue .. (lanes[i][3] and ':u' or ':n'), now, lane)
    relisted[#relisted + 1] = lanes[i][1] .. '|' .. lane
  end
end
return { dropped, relisted }
