#!lua flags=allow-oom
-- Tell people of something once, whatever the number of replicas that find it: what was told, and what tells it, in one step.
--
-- KEYS[1] base; ARGV: shift, what is told, a note on it, when that may be forgotten (ms), msgpack list of effects as in commit
-- answers {1} (it is being told now) | {0} (it was told before)
local told, field, forget = KEYS[1] .. ':told', ARGV[2], tonumber(ARGV[4])
local effects = cmsgpack.unpack(ARGV[5])
local call, fmt = redis.call, string.format
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000) + tonumber(ARGV[1])
if call('HEXISTS', told, field) == 1 then return { 0 } end

local held = call('HGETALL', told)
local last = forget
for i = 1, #held, 2 do
  local finish = tonumber(string.match(held[i + 1], '^%d+'))
  if finish < now then
    call('HDEL', told, held[i])
  else
    last = math.max(last, finish)
  end
end
call('HSET', told, field, fmt('%.0f', forget) .. '|' .. ARGV[3])
call('PEXPIRE', told, fmt('%.0f', math.max(last - now, 1)))
for i = 1, #effects do
  local queue, lane = effects[i][1], effects[i][2]
  call('SADD', KEYS[1] .. ':queues', queue)
  if call('RPUSH', KEYS[1] .. ':l:' .. lane, effects[i][4]) == 1 then
    call('ZADD', KEYS[1] .. ':q:' .. queue .. (effects[i][3] and ':u' or ':n'), fmt('%.0f', now), lane)
  end
end
return { 1 }
