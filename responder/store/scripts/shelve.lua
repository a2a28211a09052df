#!lua flags=allow-oom
-- Keep a value on a shelf until some time after its end, within a bound; or drop one.
--
-- KEYS[1] base; ARGV: shift, shelf, id, end ms (0 drops it), the value as JSON, how long past ones are kept (ms), how many are kept
-- answers {'ok'} | {'known'} (it was there, and is now as given) | {'unknown'} (nothing to drop) | {'full'}
local shelf, id, ends = KEYS[1] .. ':' .. ARGV[2], ARGV[3], tonumber(ARGV[4])
local call = redis.call
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000) + tonumber(ARGV[1])
local kept = tonumber(ARGV[6])
if ends == 0 then return { call('HDEL', shelf, id) == 1 and 'ok' or 'unknown' } end

local held = call('HGETALL', shelf)
local count, last = 0, ends
for i = 1, #held, 2 do
  local finish = tonumber(string.match(held[i + 1], '^%d+'))
  if finish + kept < now then
    call('HDEL', shelf, held[i])
  elseif held[i] ~= id then
    count, last = count + 1, math.max(last, finish)
  end
end
local known = call('HEXISTS', shelf, id) == 1
if not known and count >= tonumber(ARGV[7]) then return { 'full' } end
call('HSET', shelf, id, string.format('%.0f', ends) .. '|' .. ARGV[5])
call('PEXPIRE', shelf, string.format('%.0f', last + kept - now))
return { known and 'known' or 'ok' }
