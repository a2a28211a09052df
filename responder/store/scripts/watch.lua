#!lua flags=allow-oom
-- Look at some of the open incidents, and at what is due, for states that cannot be; mend what is found in the same step.
--
-- Each step looks at a bounded number and goes on where the last one ended. What is mended goes the ordinary road from
-- there: an incident is woken, an effect is due.
-- KEYS[1] base
-- ARGV[1] msgpack {shift, limit, slack ms (a lease and a little more), overdue ms, longest ms that a lane may be put off,
--         outlived ms (how long after its end an effect may still be there), retention ms}
-- answers {1 where it has come round, findings {kind, id of the incident or 'queue|lane', '' or the time it is about}}
local base = KEYS[1]
local o = cmsgpack.unpack(ARGV[1])
local shift, limit, slack, overdue, put_off, outlived, retention = o[1], o[2], o[3], o[4], o[5], o[6], o[7]
local call, fmt = redis.call, string.format
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000) + shift
local now_text = fmt('%.0f', now)
local state, open = base .. ':watchdog', base .. ':x:open'
local found, gone = {}, 0

local function note(kind, what, at) found[#found + 1] = { kind, what, at and fmt('%.0f', at) or '' } end

local function due_of(id)
  for _, index in ipairs({ ':w:u', ':w:n' }) do
    local due = tonumber(call('ZSCORE', base .. index, id) or '')
    if due then return due, base .. index end
  end
end

local function unlist(id)
  for _, index in ipairs({ ':x:open', ':w:u', ':w:n' }) do call('ZREM', base .. index, id) end
  gone = gone + 1
end

local function is_open(id)
  local other = call('HGET', base .. ':i:' .. id, 'st')
  return other and other ~= 'resolved'
end

local function look(id)
  local incident = base .. ':i:' .. id
  local held = call('HMGET', incident, 'st', 'lu', 'lt', 'key', 'mark', 'ib', 'wk', 'sv')
  if not held[1] then
    unlist(id)
    call('ZREM', base .. ':x:all', id)
    return note('no_incident', id)
  end
  if held[1] == 'resolved' then
    unlist(id)
    call('ZADD', base .. ':x:closed', now_text, id)
    for _, part in ipairs({ '', ':m', ':t', ':in', ':d' }) do
      if call('PTTL', incident .. part) == -1 then call('PEXPIRE', incident .. part, fmt('%.0f', retention)) end
    end
    return note('closed_listed', id)
  end
  if held[4] then
    local key = base .. ':k:' .. held[4]
    local owner = call('GET', key)
    if owner ~= id and not (owner and is_open(owner)) then
      call('SET', key, id)
      note('key_lost', id)
    end
  end
  if held[5] and tonumber(held[5]) > tonumber(held[6] or '0') then
    call('HDEL', incident, 'mark')
    note('mark', id)
  end
  local lease, due, index = tonumber(held[2] or '0'), due_of(id)
  index = index or base .. (tonumber(held[8] or '1') <= 2 and ':w:u' or ':w:n')
  if lease > now + slack then
    call('HDEL', incident, 'lt', 'lu')
    call('ZADD', index, now_text, id)
    return note('lease', id)
  end
  if not due then
    call('ZADD', index, now_text, id)
    return note('no_wake', id)
  end
  local wake = tonumber(held[7] or '')
  if not wake or lease > now then return end
  if wake == 0 then
    call('ZADD', index, now_text, id)
    note('no_next_step', id)
  elseif due > math.max(wake, now) + slack then
    call('ZADD', index, fmt('%.0f', math.max(wake, now)), id)
    note('wakes_late', id)
  end
end

local from = tonumber(call('HGET', state, 'from') or '0')
local ids = call('ZRANGE', open, from, from + limit - 1)
for i = 1, #ids do look(ids[i]) end
local round = #ids < limit
call('HSET', state, 'from', round and 0 or from + #ids - gone)

for _, index in ipairs({ ':w:u', ':w:n' }) do
  local late = call('ZRANGEBYSCORE', base .. index, '-inf', fmt('%.0f', now - overdue), 'WITHSCORES', 'LIMIT', 0, limit)
  for i = 1, #late, 2 do note('overdue', late[i], tonumber(late[i + 1])) end
end

for _, name in ipairs(call('SMEMBERS', base .. ':queues')) do
  for _, urgent in ipairs({ ':u', ':n' }) do
    local queue = base .. ':q:' .. name .. urgent
    for _, lane in ipairs(call('ZRANGEBYSCORE', queue, fmt('%.0f', now + put_off), '+inf', 'LIMIT', 0, limit)) do
      call('ZADD', queue, now_text, lane)
      note('lane_late', name .. '|' .. lane)
    end
    for _, lane in ipairs(call('ZRANGEBYSCORE', queue, '-inf', now_text, 'LIMIT', 0, limit)) do
      local head = call('LINDEX', base .. ':l:' .. lane, 0)
      if not head then
        call('ZREM', queue, lane)
        call('DEL', base .. ':l:' .. lane .. ':s')
        note('lane_empty', name .. '|' .. lane)
      else
        local expires = tonumber(string.match(head, '^%a|%x*|%d+|(%d+)|') or '0')
        if expires > 0 and now > expires + outlived then note('effect_old', name .. '|' .. lane, expires) end
      end
    end
  end
end
return { round and 1 or 0, found }
