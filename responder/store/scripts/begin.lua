#!lua flags=allow-oom
-- A run begins to change things: once for ever, and only while it holds its object.
--
-- KEYS[1] base; ARGV: object, run, how long it is remembered ms
-- answers 1 (begin) | 0 (it was begun before, or the object is not held any more)
local call = redis.call
local record = KEYS[1] .. ':act:r:' .. ARGV[2]
if call('GET', KEYS[1] .. ':act:o:' .. ARGV[1] .. ':l') ~= ARGV[2] then return 0 end
local first = call('HSETNX', record, 'begun', '1')
call('PEXPIRE', record, ARGV[3])
return first
