#!lua flags=allow-oom
-- Write a decision: snapshot, time line, effects, next wake time; together or not at all.
--
-- KEYS[1] base
-- ARGV[1] msgpack {shift, id, token, rev, seq, taken, snapshot, state, gauge, episode, urgent, wake, retention,
--         entries limit, severity rank, hold}; wake in ms, 0 for none; gauge is the incident's field in the counts of open ones, '' if none
-- ARGV[2] msgpack list of time-line entries
-- ARGV[3] msgpack list of {queue, lane, urgent, header and payload}
-- answers {'ok'} | {'again'} (written, and more has come meanwhile) | {'lost'} (nothing was written)
local base = KEYS[1]
local c = cmsgpack.unpack(ARGV[1])
local entries = cmsgpack.unpack(ARGV[2])
local effects = cmsgpack.unpack(ARGV[3])
local call, fmt = redis.call, string.format
local shift, id, token, rev, seq, taken, snapshot = c[1], c[2], c[3], c[4], c[5], c[6], c[7]
local state, gauge, episode, urgent, wake, retention, limit = c[8], c[9], c[10], c[11], c[12], c[13], c[14]
local severity, hold = c[15], c[16]
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000) + shift
local now_text = fmt('%.0f', now)
local incident = base .. ':i:' .. id

local held = call('HMGET', incident, 'lt', 'rev', 'seq', 'st', 'gauge', 'key', 'mark', 'it')
if held[1] ~= token or tonumber(held[2]) ~= rev then return { 'lost' } end
local moved = tonumber(held[3] or '0') ~= seq
local closed, was_closed = state == 'resolved', held[4] == 'resolved'
if closed and not was_closed and moved then
  -- Something came in while it was being closed: look again before the door shuts.
  call('HDEL', incident, 'lt', 'lu')
  call('ZADD', base .. (urgent and ':w:u' or ':w:n'), now_text, id)
  return { 'lost' }
end

local in_taken = tonumber(held[8] or '0') + taken
call('HSET', incident, 'snap', snapshot, 'rev', rev + 1, 'st', state, 'ep', episode, 'it', in_taken,
  'sv', severity, 'wk', fmt('%.0f', wake))
call('HDEL', incident, 'lt', 'lu')
if held[7] and tonumber(held[7]) <= in_taken then call('HDEL', incident, 'mark') end
if taken > 0 then call('LTRIM', incident .. ':in', taken, -1) end

for i = 1, #entries do call('RPUSH', incident .. ':t', entries[i]) end
if #entries > 0 then call('LTRIM', incident .. ':t', -limit, -1) end

for i = 1, #effects do
  local queue, lane = effects[i][1], effects[i][2]
  call('SADD', base .. ':queues', queue)
  if call('RPUSH', base .. ':l:' .. lane, effects[i][4]) == 1 then
    call('ZADD', base .. ':q:' .. queue .. (effects[i][3] and ':u' or ':n'), now_text, lane)
  end
end

local old_gauge = held[5] or ''
if old_gauge ~= gauge then
  if old_gauge ~= '' and call('HINCRBY', base .. ':gauge', old_gauge, -1) <= 0 then
    call('HDEL', base .. ':gauge', old_gauge)
  end
  if gauge ~= '' then call('HINCRBY', base .. ':gauge', gauge, 1) end
  call('HSET', incident, 'gauge', gauge)
end

if closed and not was_closed then
  local key = base .. ':k:' .. held[6]
  if call('GET', key) == id then call('DEL', key) end
  call('ZREM', base .. ':x:open', id)
  if call('ZSCORE', base .. ':x:all', id) then call('ZADD', base .. ':x:closed', now_text, id) end
  local ttl = fmt('%.0f', retention)
  for _, part in ipairs({ '', ':m', ':t', ':in', ':d' }) do call('PEXPIRE', incident .. part, ttl) end
  local old = call('ZRANGEBYSCORE', base .. ':x:closed', '-inf', fmt('%.0f', now - retention), 'LIMIT', 0, 100)
  for _, gone in ipairs(old) do
    call('ZREM', base .. ':x:closed', gone)
    call('ZREM', base .. ':x:all', gone)
  end
elseif closed then
  -- Later lines and facts of a closed incident live as long as the rest of it.
  local ttl = call('PTTL', incident)
  if ttl > 0 then
    for _, part in ipairs({ ':t', ':in' }) do call('PEXPIRE', incident .. part, ttl) end
  end
elseif was_closed then
  call('SET', base .. ':k:' .. held[6], id, 'NX')
  call('ZREM', base .. ':x:closed', id)
  call('ZADD', base .. ':x:open', call('ZSCORE', base .. ':x:all', id) or now_text, id)
  for _, part in ipairs({ '', ':m', ':t', ':in', ':d' }) do call('PERSIST', incident .. part) end
end

local mine, other = urgent and ':w:u' or ':w:n', urgent and ':w:n' or ':w:u'
call('ZREM', base .. other, id)
-- Facts that wait are looked at now (unless this decision failed on them: then after its pause); alerts that joined
-- meanwhile wait a second for the next ones.
if call('LLEN', incident .. ':in') > 0 and not hold then
  call('ZADD', base .. mine, now_text, id)
  return { 'again' }
end
if moved and not hold and (wake == 0 or wake > now + 1000) then wake = now + 1000 end
if wake > 0 then
  call('ZADD', base .. mine, fmt('%.0f', wake), id)
else
  call('ZREM', base .. mine, id)
end
return { 'ok' }
