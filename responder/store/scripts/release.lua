#!lua flags=allow-oom
-- A run is over: give its place on the object back, and keep count of what did not help.
--
-- KEYS[1] base; ARGV: object, run, 'effective' | 'ineffective' | 'unknown' | 'undone' (it was never begun: it does not
--         count), how long the count is kept ms
-- answers the number of times in a row without effect
local base, run = KEYS[1], ARGV[2]
local call = redis.call
local object = base .. ':act:o:' .. ARGV[1]
local lock, futile = object .. ':l', object .. ':f'
if call('GET', lock) == run then call('DEL', lock) end
if ARGV[3] == 'effective' then
  call('DEL', futile)
  return 0
end
if ARGV[3] == 'undone' then
  call('ZREM', object .. ':h', run)
  return tonumber(call('GET', futile) or '0')
end
if ARGV[3] == 'unknown' then return tonumber(call('GET', futile) or '0') end
local count = call('INCR', futile)
call('PEXPIRE', futile, ARGV[4])
return count
