#!lua flags=allow-oom
-- A run begins to change things: once for ever, only while it holds its object, and only while actions are on.
--
-- KEYS[1] base; ARGV: run
-- answers 'begun' | 'switched off' | 'elsewhere' (it was begun before, or the object is not held any more)
local call = redis.call
local record = KEYS[1] .. ':act:r:' .. ARGV[1]
local object = call('HGET', record, 'object')
if not object or call('GET', KEYS[1] .. ':act:o:' .. object .. ':l') ~= ARGV[1] then return 'elsewhere' end
if call('EXISTS', KEYS[1] .. ':act:kill') == 1 then return 'switched off' end
if call('HSETNX', record, 'begun', '1') == 0 then return 'elsewhere' end
return 'begun'
