#!lua flags=allow-oom
-- Whose turn it is: of all replicas one does a thing that is to be done once in a while.
--
-- KEYS[1] base; ARGV: shift, what, every ms
-- answers 1 (the caller's turn, until the next one is due) | 0
local turns = KEYS[1] .. ':turns'
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000) + tonumber(ARGV[1])
local every = tonumber(ARGV[3])
local due = tonumber(redis.call('ZSCORE', turns, ARGV[2]) or '0')
-- A time further away than one interval is that of a clock that was wrong, or of another configuration.
if due > now and due <= now + every then return 0 end
redis.call('ZADD', turns, string.format('%.0f', now + every), ARGV[2])
return 1
