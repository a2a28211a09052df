#!lua flags=allow-oom
-- A replica says that it sees the store; who else does, and which urgent incidents are open.
--
-- KEYS[1] base; ARGV: shift, replica ('' to say nothing), what it says of itself, how long the last word of a replica is
--       remembered ms, how many incidents are listed at most, what to write beside it ('' for nothing)
-- answers {now, {replica, 'ms it was seen|what it says', ...}, {incident, revision, ...}}
local base = KEYS[1]
local call, fmt = redis.call, string.format
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000) + tonumber(ARGV[1])
local key, keep = base .. ':replicas', tonumber(ARGV[4])
if ARGV[2] ~= '' then
  call('HSET', key, ARGV[2], fmt('%.0f|%s', now, ARGV[3]))
  call('PEXPIRE', key, ARGV[4])
end
if ARGV[6] ~= '' then call('SET', base .. ':look:d', ARGV[6], 'PX', '60000') end
local words, replicas = call('HGETALL', key), {}
for i = 1, #words, 2 do
  local seen = tonumber(string.match(words[i + 1], '^(%d+)|') or '0')
  if now - seen > keep then
    call('HDEL', key, words[i])
  else
    replicas[#replicas + 1] = words[i]
    replicas[#replicas + 1] = words[i + 1]
  end
end
local open = {}
for _, id in ipairs(call('ZRANGE', base .. ':w:u', 0, tonumber(ARGV[5]) - 1)) do
  open[#open + 1] = id
  open[#open + 1] = call('HGET', base .. ':i:' .. id, 'rev') or '0'
end
return { fmt('%.0f', now), replicas, open }
