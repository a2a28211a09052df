#!lua
-- Keep a body that could not be read, once per distinct content, within a bound.
--
-- KEYS[1] base; ARGV: shift, digest, reason, size, body, how many are kept, TTL ms
-- answers {times seen, how many older ones were dropped for it}
local base, digest = KEYS[1], ARGV[2]
local call = redis.call
local time = call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000) + tonumber(ARGV[1]))
local item, index = base .. ':quarantine:' .. digest, base .. ':quarantine'
local seen = call('HINCRBY', item, 'seen', 1)
if seen == 1 then call('HSET', item, 'first', now, 'body', ARGV[5], 'size', ARGV[4]) end
call('HSET', item, 'last', now, 'reason', ARGV[3])
call('PEXPIRE', item, ARGV[7])
call('ZADD', index, now, digest)
call('PEXPIRE', index, ARGV[7])
local over = call('ZCARD', index) - tonumber(ARGV[6])
if over > 0 then
  for _, old in ipairs(call('ZRANGE', index, 0, over - 1)) do
    call('DEL', base .. ':quarantine:' .. old)
    call('ZREM', index, old)
  end
end
return { seen, math.max(over, 0) }
