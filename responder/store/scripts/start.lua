#!lua flags=allow-oom
-- Lease a lane and take a last look at its head before it is performed.
--
-- An effect is stored as kind|incident|episode|expires|id|payload; kind P (a page: wanted only while its episode is
-- unacknowledged, then for ever), A (wanted only while its episode is acknowledged) or X (anything else).
-- KEYS[1] base; ARGV: shift, queue, lane, token, lease ms
-- answers  {'none'} | {'later'} | {'lost', payload, id, incident, now ms, why} (overtaken or expired: to be finished as dropped)
--          | {'go', payload, id, incident, now ms, attempt, first attempt ms, snapshot of the incident}
local base, lane = KEYS[1], ARGV[3]
local call, fmt = redis.call, string.format
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000) + tonumber(ARGV[1])
local queue = base .. ':q:' .. ARGV[2] .. ':u'
local due = call('ZSCORE', queue, lane)
if not due then
  queue = base .. ':q:' .. ARGV[2] .. ':n'
  due = call('ZSCORE', queue, lane)
end
if not due then return { 'none' } end
if tonumber(due) > now then return { 'later' } end
local head = call('LINDEX', base .. ':l:' .. lane, 0)
if not head then
  call('ZREM', queue, lane)
  call('DEL', base .. ':l:' .. lane .. ':s')
  return { 'none' }
end
local _, last, kind, id, episode, expires, effect = string.find(head, '^(%a)|(%x*)|(%d+)|(%d+)|(%x*)|')
local payload = string.sub(head, last + 1)
local incident = base .. ':i:' .. id
local held = call('HMGET', incident, 'st', 'ep', 'mark', 'snap')

local why
local wanted = ({ P = 'triggered', A = 'acknowledged' })[kind]
if kind == 'P' and held[1] == 'triggered' and held[3] then
  -- An acknowledgement is on disk and waits for its decision: no page starts before that.
  call('ZADD', queue, fmt('%.0f', now + 250), lane)
  return { 'later' }
end
if wanted and held[1] ~= wanted then
  why = 'the incident is ' .. (held[1] or 'gone')
elseif wanted and held[2] ~= episode then
  why = 'paged anew meanwhile'
elseif tonumber(expires) > 0 and now > tonumber(expires) then
  why = 'out of date'
end

local until_text = fmt('%.0f', now + tonumber(ARGV[5]))
local state = base .. ':l:' .. lane .. ':s'
call('ZADD', queue, until_text, lane)
call('HSET', state, 'token', ARGV[4])
local now_text = fmt('%.0f', now)
if why then return { 'lost', payload, effect, id, now_text, why } end
local attempt = call('HINCRBY', state, 'n', 1)
call('HSETNX', state, 'first', now_text)
return { 'go', payload, effect, id, now_text, attempt, call('HGET', state, 'first'), held[4] or '' }
