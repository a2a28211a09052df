#!lua
-- Append an entry to the audit, if nobody else did meanwhile.
--
-- KEYS[1] base; ARGV: the hash that the entry follows ('' for the first), its own hash, the entry, how many are kept
-- answers {'ok'} | {'moved', the newest entry (nil for none)}
local base = KEYS[1]
local call = redis.call
local head = call('GET', base .. ':audit:head') or ''
if head ~= ARGV[1] then return { 'moved', call('LINDEX', base .. ':audit', -1) } end
call('RPUSH', base .. ':audit', ARGV[3])
call('LTRIM', base .. ':audit', -tonumber(ARGV[4]), -1)
call('SET', base .. ':audit:head', ARGV[2])
return { 'ok' }
