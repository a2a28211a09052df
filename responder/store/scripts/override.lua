#!lua flags=allow-oom
-- Keep a change of a schedule until some time after its end, within a bound; or drop one.
--
-- KEYS[1] base; ARGV: shift, id, end ms (0 drops it), the change as JSON, how long past ones are kept (ms), how many are kept
-- answers {'ok'} | {'known'} (it was there, and is now as given) | {'unknown'} (nothing to drop) | {'full'}
local changes, id, ends = KEYS[1] .. ':overrides', ARGV[2], tonumber(ARGV[3])
local call = redis.call
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000) + tonumber(ARGV[1])
local kept = tonumber(ARGV[5])
if ends == 0 then return { call('HDEL', changes, id) == 1 and 'ok' or 'unknown' } end

local held = call('HGETALL', changes)
local count, last = 0, ends
for i = 1, #held, 2 do
  local finish = tonumber(string.match(held[i + 1], '^%d+'))
  if finish + kept < now then
    call('HDEL', changes, held[i])
  elseif held[i] ~= id then
    count, last = count + 1, math.max(last, finish)
  end
end
local known = call('HEXISTS', changes, id) == 1
if not known and count >= tonumber(ARGV[6]) then return { 'full' } end
call('HSET', changes, id, string.format('%.0f', ends) .. '|' .. ARGV[4])
call('PEXPIRE', changes, string.format('%.0f', last + kept - now))
return { known and 'known' or 'ok' }
