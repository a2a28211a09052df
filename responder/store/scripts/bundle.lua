#!lua flags=allow-oom
-- Whether a page rings its person by itself, waits, becomes a digest, or is told with another incident's page.
--
-- What a person was rung for within the last while is kept by person: incidents, their kinds, the kinds that broke through a
-- digest, and the incident whose page is their digest. All of it is decided in this one step, so that the bound holds however
-- many replicas ask; and nothing is folded into an incident that is not triggered, or is held back, in the same step.
-- KEYS[1] base
-- ARGV[1] msgpack {shift, incident, episode, contact, kind, line, after, within ms, new kinds, every ms, how long it is kept in ms,
--         limit (how many are folded into one), {incidents whose page does not tell this person}, whether the page of the
--         person's own digest among these never arrived, so that the next one need not wait}
-- answers {'ring', why} | {'carry'} | {'wait', ms} | {'fold', into, how many are by now, ms since it carries for this person
--         (-1: it carries for somebody else), now ms, how many have left where it had and is back, else -1}
local base = KEYS[1]
local o = cmsgpack.unpack(ARGV[1])
local shift, id, episode, contact, kind, line = o[1], o[2], o[3], o[4], o[5], o[6]
local after, within, new_kinds, every, kept_for, limit = o[7], o[8], o[9], o[10], o[11], o[12]
local call, fmt = redis.call, string.format
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000) + shift
local now_text = fmt('%.0f', now)
local storm = base .. ':storm:' .. contact
local rang, kinds, broke = storm .. ':r', storm .. ':k', storm .. ':n'
local mine = base .. ':told_in:' .. id
for _, key in ipairs({ rang, kinds, broke }) do
  call('ZREMRANGEBYSCORE', key, '-inf', fmt('%.0f', now - within))
end
local deaf = {}
for _, one in ipairs(o[13]) do deaf[one] = true end

local function kept()
  for _, key in ipairs({ storm, rang, kinds, broke }) do call('PEXPIRE', key, fmt('%.0f', within + every)) end
end

local function is_paged(carrier)
  local held = call('HMGET', base .. ':i:' .. carrier, 'st', 'snap')
  -- Inside a text of the snapshot the quotes would be escaped.
  return held[1] == 'triggered' and not (held[2] and string.find(held[2], '"holds":[{', 1, true))
end

-- It is told of by this one's page no longer, unless somebody else is. Where that is over, it still has to hear so.
local function unfold(into)
  if not is_paged(into) then return end
  for _, other in ipairs(call('HVALS', mine)) do
    if string.sub(other, 1, 16) == into then return end
  end
  local list = base .. ':folded:' .. into
  for _, key in ipairs({ ':due', ':over' }) do call('SREM', list .. key, id) end
  call('HDEL', list, id)
end

local function leave()
  local into = call('HGET', mine, contact)
  if not into then return end
  call('HDEL', mine, contact)
  unfold(string.sub(into, 1, 16))
end

local function ring(answer, why)
  leave()
  call('ZADD', rang, now_text, id)
  call('ZADD', kinds, now_text, kind)
  kept()
  return { answer, why or '' }
end

local known = call('HMGET', storm, 'carrier', 'since', 'active')
local carrier, since, active = known[1], tonumber(known[2] or '0'), tonumber(known[3] or '0')
if carrier and deaf[carrier] then
  call('HDEL', storm, 'carrier', 'active')
  if o[14] then
    call('HDEL', storm, 'since')
    since = 0
  end
  carrier = nil
end

local function fold(into)
  local list = base .. ':folded:' .. into
  -- Where all the others know what became of them, it has begun to carry anew.
  if call('EXISTS', list .. ':due') == 0 then call('DEL', list, list .. ':over') end
  if call('HEXISTS', list, id) == 0 and call('HLEN', list) >= limit then return nil end
  local before = call('HGET', mine, contact)
  call('HSET', mine, contact, into .. '|' .. kind)
  if before and string.sub(before, 1, 16) ~= into then unfold(string.sub(before, 1, 16)) end
  call('HSET', list, id, fmt('%.0f|%.0f|', episode, now) .. line)
  call('SADD', list .. ':due', id)
  local back = call('SREM', list .. ':over', id)
  for _, key in ipairs({ list, list .. ':due', list .. ':over', mine }) do call('PEXPIRE', key, fmt('%.0f', kept_for)) end
  call('ZADD', kinds, now_text, kind)
  if into == carrier then call('HSET', storm, 'active', now_text) end
  kept()
  return { 'fold', into, call('HLEN', list), into == carrier and fmt('%.0f', now - since) or '-1', now_text,
    back == 1 and call('SCARD', list .. ':over') or -1 }
end

-- 1. What rings already goes on to.
if carrier == id then return ring('carry') end
if call('ZSCORE', rang, id) then return ring('ring', 'again') end

-- 2. What is told with another one's page stays so, while that is paged and it is no worse by now.
local function stays(into, of)
  return of == kind and into ~= id and not deaf[into] and is_paged(into)
end
local told = call('HGETALL', mine)
local other
for i = 1, #told, 2 do
  local into, of = string.sub(told[i + 1], 1, 16), string.sub(told[i + 1], 18)
  if stays(into, of) then
    if told[i] == contact then
      local answer = fold(into)
      if answer then return answer end
    elseif not other or call('ZSCORE', rang, into) then
      other = into
    end
  end
end
if other then
  local answer = fold(other)
  if answer then return answer end
end

-- 3. A storm: what is new breaks through, the rest is told with the digest.
local function breaks_through()
  if call('ZSCORE', kinds, kind) or call('ZCARD', broke) >= new_kinds then return false end
  call('ZADD', broke, now_text, kind)
  return true
end
if carrier and now - active <= within and is_paged(carrier) then
  if breaks_through() then return ring('ring', 'new') end
  local answer = fold(carrier)
  if answer then return answer end
end

-- 4. No storm; 5. or the first page of one, which waits for its turn where the last digest's was just before, unless it is new.
if call('ZCARD', rang) < after then return ring('ring') end
local wait = since + every - now
if wait > 0 and wait <= every then
  if breaks_through() then return ring('ring', 'new') end
  kept()
  return { 'wait', fmt('%.0f', wait) }
end
call('HSET', storm, 'carrier', id, 'since', now_text, 'active', now_text)
return ring('carry')
