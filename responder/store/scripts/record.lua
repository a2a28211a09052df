#!lua flags=allow-oom
-- Record a fact of an incident and wake it; for a person's fact, only in the states that take it.
--
-- KEYS[1] base
-- ARGV: shift, incident, fact, states that take it ('' for any, else a,b,c), mark (1 holds every page back),
--       needs the incident's key to be free (1 or 0), inbox limit, idempotency key ('' for none), its digest, its TTL
-- answers {'ok', the fact's number} | {'repeat'} | {'reused'} | {'unknown'} | {'refused', state} | {'full'}
local base, id = KEYS[1], ARGV[2]
local call, fmt = redis.call, string.format
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000) + tonumber(ARGV[1])
local now_text = fmt('%.0f', now)
local incident = base .. ':i:' .. id
local held = call('HMGET', incident, 'st', 'key', 'lu', 'ib')
if not held[1] then return { 'unknown' } end
local state = held[1] == 'new' and 'triggered' or held[1]
local idempotency = base .. ':idem:' .. ARGV[8]
if ARGV[8] ~= '' then
  local before = call('GET', idempotency)
  if before then return { before == ARGV[9] and 'repeat' or 'reused' } end
end
if ARGV[4] ~= '' and not string.find(',' .. ARGV[4] .. ',', ',' .. state .. ',', 1, true) then
  return { 'refused', state }
end
if ARGV[6] == '1' and state == 'resolved' then
  local current = call('GET', base .. ':k:' .. held[2])
  if current and current ~= id then return { 'refused', state } end
end
if call('LLEN', incident .. ':in') >= tonumber(ARGV[7]) then return { 'full' } end

call('RPUSH', incident .. ':in', ARGV[3])
local number = call('HINCRBY', incident, 'ib', 1)
call('HINCRBY', incident, 'seq', 1)
if ARGV[5] == '1' and state == 'triggered' then call('HSET', incident, 'mark', number) end
if ARGV[8] ~= '' then call('SET', idempotency, ARGV[9], 'PX', ARGV[10]) end
if tonumber(held[3] or '0') <= now then
  local index = call('ZSCORE', base .. ':w:n', id) and ':w:n' or ':w:u'
  call('ZADD', base .. index, now_text, id)
end
return { 'ok', number }
