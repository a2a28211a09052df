#!lua flags=allow-oom
-- Note fields of an incident's message in a conversation, and keep them for a while, in one step.
-- digest, milliseconds to keep, then pairs of field and value; a field alone is noted only where it is new.
-- Answers 1, or 0 where a field alone was there already.
local key = KEYS[1] .. ':talk:' .. ARGV[1]
local new = 1
if #ARGV == 3 then
  new = redis.call('HSETNX', key, ARGV[3], '1')
else
  redis.call('HSET', key, unpack(ARGV, 3))
end
redis.call('PEXPIRE', key, ARGV[2])
return new
