#!lua flags=allow-oom
-- An incident that was folded into another one has ended, was taken, or is paged by itself: counted once.
--
-- KEYS[1] base; ARGV: incident, the one that carries it
-- answers the number of those that have left | -1 (it is not in that list)
local list = KEYS[1] .. ':folded:' .. ARGV[2]
local call = redis.call
if call('HEXISTS', list, ARGV[1]) == 0 then return -1 end
call('SADD', list .. ':over', ARGV[1])
local ttl = call('PTTL', list)
if ttl > 0 then call('PEXPIRE', list .. ':over', ttl) end
return call('SCARD', list .. ':over')
