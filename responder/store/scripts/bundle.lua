#!lua flags=allow-oom
-- Whether a page rings its person by itself, waits, becomes a digest, or is told with another incident's page.
--
-- What a person was rung for within the last while is kept by person: incidents, their kinds, the kinds that broke through a
-- digest, and for each severity the incident whose page is their digest: what is told with one is no worse than that. All of it is decided in this one step, so that the bound holds however
-- many replicas ask; and nothing is folded into an incident that is not triggered, or is held back, in the same step.
-- KEYS[1] base
-- ARGV[1] msgpack {shift, incident, episode, contact, kind, line, after, within ms, new kinds, every ms, how long it is kept in ms,
--         limit (how many are folded into one), {incidents whose page does not tell this person}, whether the page of the
--         person's own digest among these never arrived, so that the next one need not wait, severity (1 the worst),
--         {incidents whose page is none that this one could be told with}}
-- answers {'ring', why} | {'carry'} | {'wait', ms} | {'fold', into, how many are by now, ms since it carries for this person
--         (-1: it carries for somebody else), now ms, how many have left where it had and is back, else -1,
--         how many are of its kind}
local base = KEYS[1]
local o = cmsgpack.unpack(ARGV[1])
local shift, id, episode, contact, kind, line = o[1], o[2], o[3], o[4], o[5], o[6]
local after, within, new_kinds, every, kept_for, limit = o[7], o[8], o[9], o[10], o[11], o[12]
local severity = o[15]
local call, fmt = redis.call, string.format
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000) + shift
local now_text = fmt('%.0f', now)
local storm = base .. ':storm:' .. contact
local rang, kinds, broke = storm .. ':r', storm .. ':k', storm .. ':n' .. severity
local mine = base .. ':told_in:' .. id
for _, key in ipairs({ rang, kinds, broke }) do
  call('ZREMRANGEBYSCORE', key, '-inf', fmt('%.0f', now - within))
end
local deaf, unfit = {}, {}
for _, one in ipairs(o[13]) do deaf[one] = true end
for _, one in ipairs(o[16]) do unfit[one] = true end

local function kept()
  for _, key in ipairs({ storm, rang, kinds, broke }) do call('PEXPIRE', key, fmt('%.0f', within + every)) end
end

local function is_paged(carrier)
  local held = call('HMGET', base .. ':i:' .. carrier, 'st', 'snap')
  -- Inside a text of the snapshot the quotes would be escaped.
  return held[1] == 'triggered' and not (held[2] and string.find(held[2], '"holds":[{', 1, true))
end

-- It is told of by this one's page no longer, unless somebody else is. Where that is over, it still has to hear so.
local function unfold(into, of)
  if not is_paged(into) then return end
  for _, other in ipairs(call('HVALS', mine)) do
    if string.sub(other, 1, 16) == into then return end
  end
  local list = base .. ':folded:' .. into
  for _, key in ipairs({ ':due', ':over' }) do call('SREM', list .. key, id) end
  if call('HDEL', list, id) == 1 then call('HINCRBY', list .. ':alike', of, -1) end
end

local function leave()
  local into = call('HGET', mine, contact)
  if not into then return end
  call('HDEL', mine, contact)
  unfold(string.sub(into, 1, 16), string.sub(into, 18))
end

local function ring(answer, why)
  leave()
  call('ZADD', rang, now_text, id)
  call('ZADD', kinds, now_text, kind)
  kept()
  return { answer, why or '' }
end

-- The digests of this severity and of worse ones, its own first; and whether a page of its own would be too soon after them.
local digests, carries, is_storm, last = {}, false, false, 0
for of = 4, 1, -1 do
  local known = call('HMGET', storm, 'carrier' .. of, 'since' .. of, 'active' .. of)
  local one = { of = of, id = known[1], since = tonumber(known[2] or '0'), active = tonumber(known[3] or '0') }
  if one.id and deaf[one.id] then
    call('HDEL', storm, 'carrier' .. of, 'active' .. of)
    if o[14] then
      call('HDEL', storm, 'since' .. of)
      one.since = 0
    end
    one.id = nil
  end
  if one.id then
    one.on = now - one.active <= within and is_paged(one.id)
    carries, is_storm = carries or one.id == id, is_storm or one.on
  end
  if of <= severity then
    last = math.max(last, one.since)
    digests[#digests + 1] = one
  end
end

local function fold(into)
  local list = base .. ':folded:' .. into
  -- Where all the others know what became of them, it has begun to carry anew.
  if call('EXISTS', list .. ':due') == 0 then call('DEL', list, list .. ':over', list .. ':alike') end
  if call('HEXISTS', list, id) == 0 and call('HLEN', list) >= limit then return nil end
  local before = call('HGET', mine, contact)
  call('HSET', mine, contact, into .. '|' .. kind)
  if before and string.sub(before, 1, 16) ~= into then unfold(string.sub(before, 1, 16), string.sub(before, 18)) end
  if call('HSET', list, id, fmt('%.0f|%.0f|', episode, now) .. line) == 1 then call('HINCRBY', list .. ':alike', kind, 1) end
  call('SADD', list .. ':due', id)
  local back = call('SREM', list .. ':over', id)
  for _, key in ipairs({ list, list .. ':due', list .. ':over', list .. ':alike', mine }) do call('PEXPIRE', key, fmt('%.0f', kept_for)) end
  call('ZADD', kinds, now_text, kind)
  local age = '-1'
  for _, one in ipairs(digests) do
    if one.id == into then
      call('HSET', storm, 'active' .. one.of, now_text)
      age = fmt('%.0f', now - one.since)
    end
  end
  kept()
  return { 'fold', into, call('HLEN', list), age, now_text,
    back == 1 and call('SCARD', list .. ':over') or -1, tonumber(call('HGET', list .. ':alike', kind) or '1') }
end

-- 1. What rings already goes on to.
if carries then return ring('carry') end
if call('ZSCORE', rang, id) then return ring('ring', 'again') end

-- 2. What is told with another one's page stays so, while that is paged and it is no worse by now.
local function stays(into, of)
  return of == kind and into ~= id and not deaf[into] and not unfit[into] and is_paged(into)
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
if is_storm and breaks_through() then return ring('ring', 'new') end
for _, one in ipairs(digests) do
  if one.on and not unfit[one.id] then
    local answer = fold(one.id)
    if answer then return answer end
  end
end

-- 4. No storm; 5. or the first page of one, which waits for its turn where a digest's was just before, unless it is new.
if call('ZCARD', rang) < after then return ring('ring') end
local wait = last + every - now
if wait > 0 and wait <= every then
  if breaks_through() then return ring('ring', 'new') end
  kept()
  return { 'wait', fmt('%.0f', wait) }
end
call('HSET', storm, 'carrier' .. severity, id, 'since' .. severity, now_text, 'active' .. severity, now_text)
return ring('carry')
