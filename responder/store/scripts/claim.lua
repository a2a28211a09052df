#!lua flags=allow-oom
-- Lease an incident and load all that a decision needs.
--
-- KEYS[1] base; ARGV: shift, id, token, lease ms, inbox limit
-- answers  {'gone'} | {'busy'} | {'ok', now, fields and values of the incident, inbox, record of its first alert}
local base, id = KEYS[1], ARGV[2]
local call = redis.call
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000) + tonumber(ARGV[1])
local incident = base .. ':i:' .. id

local held = call('HMGET', incident, 'st', 'lu', 'lt', 'snap', 'first')
if not held[1] then
  call('ZREM', base .. ':w:u', id)
  call('ZREM', base .. ':w:n', id)
  return { 'gone' }
end
if held[3] and held[3] ~= ARGV[3] and tonumber(held[2]) > now then return { 'busy' } end

local due = call('ZSCORE', base .. ':w:u', id)
local index = due and ':w:u' or ':w:n'
due = due or call('ZSCORE', base .. ':w:n', id) or ''
local until_text = string.format('%.0f', now + tonumber(ARGV[4]))
call('HSET', incident, 'lt', ARGV[3], 'lu', until_text)
call('ZADD', base .. index, until_text, id) -- a worker that dies leaves it due at the lease's end

local first = ''
if not held[4] and held[5] then first = call('GET', base .. ':a:' .. held[5]) or '' end
return {
  'ok', string.format('%.0f', now), call('HGETALL', incident),
  call('LRANGE', incident .. ':in', 0, tonumber(ARGV[5]) - 1), first, due,
}
