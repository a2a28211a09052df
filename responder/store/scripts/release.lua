#!lua flags=allow-oom
-- A run is over: give back the object that it was admitted to, if it was, and keep count of what did not help.
--
-- KEYS[1] base; ARGV: run, 'effective' | 'ineffective' | 'uncounted' | 'undone' (for certain nothing was changed) |
--         'never begun' (unless somebody has begun it meanwhile: then it keeps its object), how long the count is kept ms
-- answers the number of times in a row without effect
local base, run = KEYS[1], ARGV[1]
local call = redis.call
local record = call('HMGET', base .. ':act:r:' .. run, 'object', 'begun')
local name, undone = record[1], ARGV[2] == 'undone' or ARGV[2] == 'never begun'
if not name or (record[2] and ARGV[2] == 'never begun') then return 0 end
local object = base .. ':act:o:' .. name
local lock, futile = object .. ':l', object .. ':f'
if call('GET', lock) == run then call('DEL', lock) end
if ARGV[2] == 'effective' then
  call('DEL', futile)
  return 0
end
if undone then call('ZREM', object .. ':h', run) end
if ARGV[2] ~= 'ineffective' then return tonumber(call('GET', futile) or '0') end
local count = call('INCR', futile)
call('PEXPIRE', futile, ARGV[3])
return count
