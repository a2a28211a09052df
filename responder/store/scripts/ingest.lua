#!lua
-- Take alerts: compare each with the last state of its fingerprint, fold what changed into its incident, wake that.
--
-- No allow-oom: a store that is full refuses the whole call before anything is written.
-- KEYS[1]  the base key; every key of the daemon begins with it and so shares its hash tag
-- ARGV[1]  msgpack {shift, doubts, doubt_ms, heard_ms, firing_ttl, resolved_ttl, inbox limit, ids by key, no beginning}; an
--          incident that begins is named as its key has it there, where it was paged under that id from memory; what began
--          at "no beginning" (ms) or before does not say when
-- ARGV[2]  msgpack list of {fingerprint, code, starts, ends, severity, key, opening, body}; times in ms
--          code: F firing, R resolved, S settle a doubt as a re-fire, L settle it as a late copy,
--          X Alertmanager lists it no more (starts: the ms at which the record was written that must still be there),
--          K Alertmanager still lists it,
--          C firing of the canary: as F, and in no list of incidents,
--          B sign of life of a watch, which is named by the alert of its absence (starts: the ms until the next one is due,
--          0: it is watched no more), T an alert that is only a sign of life (ends: not 0 where it resolved),
--          M a watch is due (ends: the ms until the alert of its absence is repeated)
-- ARGV[3]  a fact for every incident that changes, '' for none: why it changes
-- answers  {now, one letter per alert, incidents to look at now (u or n, urgent or not, and the id), ids that opened}
--          n new, a re-fire, r resolved, d duplicate, l late, q doubt, u resolved but never seen firing, b a sign of life
local base = KEYS[1]
local opt = cmsgpack.unpack(ARGV[1])
local alerts = cmsgpack.unpack(ARGV[2])
local shift, doubts, doubt_ms, heard_ms, named, no_beginning = opt[1], opt[2], opt[3], opt[4], opt[8], opt[9]
local firing_ttl, resolved_ttl = string.format('%.0f', opt[5]), string.format('%.0f', opt[6])
local call, fmt, find, match, sub = redis.call, string.format, string.find, string.match, string.sub
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000) + shift
local now_text = fmt('%.0f', now)

local state_of, key_of, heard, worst, eager, since = {}, {}, {}, {}, {}, {}
-- What joins an incident that is paged already can page nobody: it may wait, so that a storm is one decision. A fact
-- that comes with it does not.
local LAZY_MS = 5000
local opened = {}

-- Counts are added up here and written once per incident and call.
local sums = {}
local function add(id, field, amount)
  local mine = sums[id]
  if mine == nil then
    mine = {}
    sums[id] = mine
  end
  mine[field] = (mine[field] or 0) + amount
end

local function is_open(id)
  local state = state_of[id]
  if state == nil then
    state = call('HGET', base .. ':i:' .. id, 'st') or 'resolved'
    state_of[id] = state
  end
  return state ~= 'resolved'
end

local function touch(id, severity)
  local before = worst[id]
  if before == nil or severity < before then worst[id] = severity end
end

-- The open incident of this key; where there is none, one begins, named by its key and by when its first alert began:
-- a replica that cannot see the store comes to the same name (``engine/blind/item.py``). Where that has been used, by now.
local function incident_of(alert)
  local key = alert[6]
  local id = key_of[key] or call('GET', base .. ':k:' .. key)
  -- A key that points nowhere would swallow the alert.
  if not id or not is_open(id) then
    id = named[key] or sub(redis.sha1hex(key .. fmt('|%.0f', alert[3])), 1, 16)
    if call('EXISTS', base .. ':i:' .. id) == 1 then id = sub(redis.sha1hex(key .. now_text), 1, 16) end
    while call('EXISTS', base .. ':i:' .. id) == 1 do
      id = sub(redis.sha1hex(id), 1, 16)
    end
    call('SET', base .. ':k:' .. key, id)
    call('HSET', base .. ':i:' .. id, 'key', key, 'open', alert[7], 'at', now_text, 'st', 'new', 'rev', '0',
      'first', alert[1])
    -- Scores differ within a batch, so that lists can be paged through.
    local score = fmt('%.3f', now + #opened / 1000)
    if alert[2] ~= 'C' then
      call('ZADD', base .. ':x:all', score, id)
      call('ZADD', base .. ':x:open', score, id)
    end
    state_of[id] = 'new'
    opened[#opened + 1] = id
    eager[id] = true
  end
  key_of[key] = id
  return id
end

-- What an alert is from now on; written once its outcome is known.
local saved
local function save(alert, status, starts, ends, severity, id, recorded)
  saved = { status, starts, ends, recorded or now_text, severity, id }
end

-- The history of a record: when it was last heard, how often that changed nothing (counted once a minute), and its
-- latest outcomes, the newest first, each a letter and a time; '@' and an id where that one and what is older was about
-- another incident than the newer ones. At most KEPT of them, so at most 280 bytes.
local KEPT = 8
local HISTORY = '^%d+%+%d+;([%w,@]*)|'
local function past(outcome, entries, before, id)
  if entries == '' then return outcome .. now_text end
  if before ~= '' and before ~= id then
    local first, rest = match(entries, '^(%a%d+)(.*)$')
    if sub(rest, 1, 1) ~= '@' then entries = first .. '@' .. before .. rest end
  end
  entries = outcome .. now_text .. ',' .. entries
  local at = 0
  for _ = 1, #entries > 14 * KEPT and KEPT or 0 do
    at = find(entries, ',', at + 1, true)
    if not at then return entries end
  end
  return at > 0 and sub(entries, 1, at - 1) or entries
end

local function write(alert, history)
  local ttl = saved[1] == 'F' and firing_ttl or resolved_ttl
  call('SET', base .. ':a:' .. alert[1], fmt('%s|%.0f|%.0f|%s|%d|%s|%s|%s', saved[1], saved[2], saved[3], saved[4],
    saved[5], saved[6], history, alert[8]), 'PX', ttl)
end

local function fire(alert, ends, into)
  local id = into or incident_of(alert)
  local severity = alert[5]
  add(id, 'n' .. severity, 1)
  add(id, 't' .. severity, 1)
  call('SADD', base .. ':i:' .. id .. ':m', alert[1])
  if alert[3] > no_beginning and alert[3] < (since[id] or math.huge) then since[id] = alert[3] end
  save(alert, 'F', alert[3], ends, severity, id)
  touch(id, severity)
end

local function cease(id, severity)
  if is_open(id) then
    add(id, 'n' .. severity, -1)
    add(id, 'rs', 1)
    touch(id, severity)
  end
end

-- Something was heard of an incident, though nothing changed.
local function hear(id)
  if heard[id] == nil then
    heard[id] = true
    local incident = base .. ':i:' .. id
    if now - tonumber(call('HGET', incident, 'h') or '0') > heard_ms then
      call('HSET', incident, 'h', now_text)
    end
  end
end

local take = {}

function take.F(alert, status, starts, ends, recorded, severity, id)
  if status == nil then
    fire(alert, 0)
    return 'n'
  end
  if status == 'F' then
    if not is_open(id) then
      fire(alert, ends) -- its incident was closed over it: the next firing opens anew
      return 'a'
    end
    if alert[3] ~= starts and alert[3] > recorded then
      cease(id, severity) -- a resolve that was never sent (it was silenced), then a re-fire
      fire(alert, ends)
      return 'a'
    end
    hear(id)
    if call('PTTL', base .. ':a:' .. alert[1]) < opt[5] / 2 then
      call('PEXPIRE', base .. ':a:' .. alert[1], firing_ttl)
    end
    return 'd'
  end
  if status == 'R' and doubts and alert[3] <= ends and now - recorded < doubt_ms then
    local current = call('GET', base .. ':k:' .. alert[6])
    if current then
      save(alert, 'D', alert[3], ends, alert[5], current)
      call('SADD', base .. ':i:' .. current .. ':d', alert[1])
      add(current, 'dt', 1)
      touch(current, alert[5])
      eager[current] = true
      return 'q'
    end
  end
  if status == 'D' then call('SREM', base .. ':i:' .. id .. ':d', alert[1]) end
  fire(alert, ends)
  return status == 'R' and id == '' and 'n' or 'a'
end

function take.R(alert, status, starts, ends, recorded, severity, id)
  if status == nil then
    save(alert, 'R', alert[3], alert[4], 4, '')
    return 'u'
  end
  if alert[4] <= ends then return 'd' end
  if status == 'F' then
    if alert[4] < starts then
      save(alert, 'F', starts, ends, severity, id, fmt('%.0f', recorded))
      return 'l'
    end
    cease(id, severity)
    save(alert, 'R', starts, alert[4], severity, id)
    return 'r'
  end
  if status == 'D' then -- a doubtful firing that resolved later was real
    call('SREM', base .. ':i:' .. id .. ':d', alert[1])
    if is_open(id) then
      add(id, 't' .. severity, 1)
      add(id, 'rs', 1)
      touch(id, severity)
    end
    save(alert, 'R', starts, alert[4], severity, id)
    return 'r'
  end
  save(alert, 'R', starts, alert[4], severity, id)
  return 'd'
end

function take.S(alert, status, starts, ends, recorded, severity, id)
  if status ~= 'D' then return 'd' end
  call('SREM', base .. ':i:' .. id .. ':d', alert[1])
  alert[3], alert[5] = starts, severity
  if not is_open(id) then -- it was closed meanwhile: begin anew as it began
    local begun = call('HMGET', base .. ':i:' .. id, 'key', 'open')
    if not begun[1] then return 'd' end
    alert[6], alert[7] = begun[1], begun[2]
    id = nil
  end
  fire(alert, ends, id)
  return 'a'
end

function take.L(alert, status, starts, ends, recorded, severity, id)
  if status ~= 'D' then return 'd' end
  call('SREM', base .. ':i:' .. id .. ':d', alert[1])
  save(alert, 'R', starts, ends, severity, id)
  return 'l'
end

function take.X(alert, status, starts, ends, recorded, severity, id)
  if status ~= 'F' or recorded ~= alert[3] then return 'd' end
  cease(id, severity)
  save(alert, 'R', starts, math.max(starts, alert[4]), severity, id)
  return 'r'
end

function take.K(alert, status, starts, ends, recorded, severity, id)
  if status == 'F' and is_open(id) then
    hear(id)
    call('PEXPIRE', base .. ':a:' .. alert[1], firing_ttl)
  end
  return 'd'
end

take.C = take.F

function take.T(alert, status, starts, ends, recorded, severity, id)
  if alert[4] > 0 then -- no sign of anything; what it had before a heartbeat took it is over
    return status and take.R(alert, status, starts, ends, recorded, severity, id) or 'd'
  end
  if status == 'F' then -- it had an incident of its own, before a heartbeat took it
    cease(id, severity)
    save(alert, 'R', starts, now, severity, id)
  end
  return 'b'
end

function take.B(alert, status, starts, ends, recorded, severity, id)
  local beats, watch = base .. ':beats', alert[1]
  if alert[3] > 0 then
    call('ZADD', beats, fmt('%.0f', now + alert[3]), watch)
    call('HSET', beats .. ':seen', watch, now_text)
  else
    call('ZREM', beats, watch)
    call('HDEL', beats .. ':seen', watch)
  end
  call('HDEL', beats .. ':spared', watch)
  return take.T(alert, status, starts, ends, recorded, severity, id)
end

-- Still due in this very step: a sign of life that came meanwhile, or another replica, has moved the time on.
function take.M(alert, status, starts, ends, recorded, severity, id)
  local due = tonumber(call('ZSCORE', base .. ':beats', alert[1]) or '')
  if not due or due > now then return 'd' end
  call('ZADD', base .. ':beats', fmt('%.0f', now + alert[4]), alert[1])
  alert[3] = status == 'F' and starts or due
  return take.F(alert, status, starts, ends, recorded, severity, id)
end

local outcomes = {}
for i = 1, #alerts do
  local alert = alerts[i]
  local record = call('GET', base .. ':a:' .. alert[1])
  local status, starts, ends, recorded, severity, id
  local head, heard_at, repeats
  if record then
    local _
    _, head, status, starts, ends, recorded, severity, id =
      find(record, '^(%a)|(%-?%d+)|(%-?%d+)|(%d+)|(%d)|(%x*)|')
    starts, ends, recorded, severity = tonumber(starts), tonumber(ends), tonumber(recorded), tonumber(severity)
    heard_at, repeats = tonumber(sub(record, head + 1, head + 13)), tonumber(sub(record, head + 15, head + 20)) or 0
    if alert[8] == '' then
      local _, last = find(record, HISTORY, head + 1)
      alert[8] = sub(record, (last or head) + 1)
    end
  end
  saved = nil
  local outcome = take[alert[2]](alert, status, starts, ends, recorded, severity, id)
  outcomes[i] = outcome
  local entries = ''
  if saved and record then entries = match(record, HISTORY, head + 1) or '' end
  local again = outcome == 'd'
  if outcome == 'l' and saved and sub(entries, 1, 1) == 'l' then again, saved = true, nil end
  -- A copy that changes nothing is counted once a minute, in place.
  if again and heard_at and now - heard_at >= heard_ms then
    heard_at, repeats = now, math.min(repeats + 1, 999999)
    if not saved then call('SETRANGE', base .. ':a:' .. alert[1], head, fmt('%013.0f+%06d', heard_at, repeats)) end
  end
  if saved then
    if not again then heard_at, entries = now, past(outcome, entries, id or '', saved[6]) end
    write(alert, fmt('%013.0f+%06d;%s', heard_at or now, repeats or 0, entries))
  end
end

for id, fields in pairs(sums) do
  for field, amount in pairs(fields) do call('HINCRBY', base .. ':i:' .. id, field, amount) end
end
for id, began in pairs(since) do
  local before = tonumber(call('HGET', base .. ':i:' .. id, 'since') or '')
  if not before or began < before then call('HSET', base .. ':i:' .. id, 'since', fmt('%.0f', began)) end
end
local changed = {}
for id, severity in pairs(worst) do
  local incident = base .. ':i:' .. id
  if ARGV[3] ~= '' and call('LLEN', incident .. ':in') < opt[7] then
    call('RPUSH', incident .. ':in', ARGV[3])
    call('HINCRBY', incident, 'ib', 1)
  end
  call('HINCRBY', incident, 'seq', 1)
  call('HSET', incident, 'h', now_text)
  local held = call('HMGET', incident, 'lu', 'st', 'sv', 'n1', 'n2', 'n3', 'n4')
  local quiet = tonumber(held[4] or '0') + tonumber(held[5] or '0') + tonumber(held[6] or '0')
    + tonumber(held[7] or '0') <= 0
  local paged = held[2] == 'triggered' or held[2] == 'acknowledged'
  local lazy = ARGV[3] == '' and paged and not quiet and not eager[id] and severity >= tonumber(held[3] or '9')
  -- While a decision is under way its commit sees that the sequence moved on, and wakes the incident again.
  if tonumber(held[1] or '0') <= now then
    local mine = severity <= 2 and ':w:u' or ':w:n'
    local due = call('ZSCORE', base .. ':w:u', id)
    if due then
      mine = ':w:u'
    else
      due = call('ZSCORE', base .. ':w:n', id)
      if due and mine == ':w:u' then call('ZREM', base .. ':w:n', id) end
    end
    local at = lazy and now + LAZY_MS or now
    if due == false or due == nil or tonumber(due) > at then due = fmt('%.0f', at) end
    call('ZADD', base .. mine, due, id)
  end
  if not lazy then changed[#changed + 1] = (severity <= 2 and 'u' or 'n') .. id end
end
return { now_text, table.concat(outcomes), changed, opened }
