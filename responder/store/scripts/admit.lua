#!lua flags=allow-oom
-- Admit a run of an action to its object: limits first, then the one place on the object; in one step.
--
-- A run that was admitted already is admitted again without being counted twice. What is known of a run names its object.
-- KEYS[1] base
-- ARGV: shift, object, run, limit count (0: no limit), limit span ms, cooldown ms, give up after, how long the place is held ms,
--       how long the history is kept ms, how long the run is remembered ms
-- answers {'ok'} | {'limit', n, oldest ms, now ms} | {'cooldown', ms left} | {'no effect', n} | {'under way', run}
local base, run = KEYS[1], ARGV[3]
local call, fmt = redis.call, string.format
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000) + tonumber(ARGV[1])
local object = base .. ':act:o:' .. ARGV[2]
local history, lock, futile = object .. ':h', object .. ':l', object .. ':f'

local holder = call('GET', lock)
if holder ~= run then
  local count, span, cooldown = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
  if count > 0 then
    call('ZREMRANGEBYSCORE', history, '-inf', fmt('%.0f', now - math.max(span, cooldown)))
    local done = call('ZRANGEBYSCORE', history, '(' .. fmt('%.0f', now - span), '+inf', 'WITHSCORES')
    if #done / 2 >= count then return { 'limit', tostring(#done / 2), done[2], fmt('%.0f', now) } end
    local last = call('ZRANGE', history, -1, -1, 'WITHSCORES')
    if last[2] and tonumber(last[2]) + cooldown > now then
      return { 'cooldown', fmt('%.0f', tonumber(last[2]) + cooldown - now) }
    end
    local without = tonumber(call('GET', futile) or '0')
    if without >= tonumber(ARGV[7]) then return { 'no effect', tostring(without) } end
  end
  if holder then return { 'under way', holder } end
  if count > 0 then -- taking back is no further change of the object
    call('ZADD', history, fmt('%.0f', now), run)
    call('PEXPIRE', history, ARGV[9])
  end
end
call('SET', lock, run, 'PX', ARGV[8])
local record = base .. ':act:r:' .. run
call('HSET', record, 'object', ARGV[2])
call('PEXPIRE', record, ARGV[10])
return { 'ok' }
