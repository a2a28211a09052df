#!lua flags=allow-oom
-- Cross off a performed effect, or put it back for later, and record what came of it; in one step.
--
-- KEYS[1] base
-- ARGV: shift, queue, lane, token, effect id, 'done' or a delay in ms ('=' before it: the attempt does not count),
--       incident, urgent (1 or 0), inbox limit, facts...
-- answers {'ok', facts recorded (1 or 0), the lane has more (1 or 0)} | {'lost'}
local base, lane, incident_id = KEYS[1], ARGV[3], ARGV[7]
local call, fmt = redis.call, string.format
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000) + tonumber(ARGV[1])
local now_text = fmt('%.0f', now)
local list, state = base .. ':l:' .. lane, base .. ':l:' .. lane .. ':s'
local queue = ':q:' .. ARGV[2] .. ':u'
if not call('ZSCORE', base .. queue, lane) then queue = ':q:' .. ARGV[2] .. ':n' end
local head = call('LINDEX', list, 0)
local holds = head and call('HGET', state, 'token') == ARGV[4]
  and string.find(head, '|' .. ARGV[5] .. '|', 1, true) ~= nil
local more = 0
if holds then
  if ARGV[6] == 'done' then
    call('LPOP', list)
    call('DEL', state)
    more = call('LLEN', list)
    if more > 0 then
      call('ZADD', base .. queue, now_text, lane)
    else
      call('ZREM', base .. queue, lane)
    end
  else
    local uncounted, delay = string.match(ARGV[6], '^(=?)(%d+)$')
    call('HDEL', state, 'token')
    if uncounted == '=' then call('HINCRBY', state, 'n', -1) end
    call('ZADD', base .. queue, fmt('%.0f', now + tonumber(delay)), lane)
  end
elseif ARGV[6] ~= 'done' then
  return { 'lost' }
end

-- What happened in the world happened, even where the lease was lost meanwhile.
local incident = base .. ':i:' .. incident_id
local recorded = 0
if #ARGV > 9 and call('EXISTS', incident) == 1 then
  for i = 10, #ARGV do
    if call('LLEN', incident .. ':in') < tonumber(ARGV[9]) then
      call('RPUSH', incident .. ':in', ARGV[i])
      call('HINCRBY', incident, 'ib', 1)
      recorded = 1
    end
  end
  if recorded == 1 then
    call('HINCRBY', incident, 'seq', 1)
    if tonumber(call('HGET', incident, 'lu') or '0') <= now then
      local index = call('ZSCORE', base .. ':w:u', incident_id) and ':w:u'
        or (call('ZSCORE', base .. ':w:n', incident_id) and ':w:n')
        or (ARGV[8] == '1' and ':w:u' or ':w:n')
      call('ZADD', base .. index, now_text, incident_id)
    end
  end
end
return { 'ok', recorded, more > 0 and 1 or 0 }
