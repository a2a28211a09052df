#!lua flags=allow-oom
-- Keep a value on a shelf until some time after its end, within a bound; or drop one.
--
-- KEYS[1] base; ARGV: shift, shelf, id, end ms (0 drops it), the value as JSON, how long past ones are kept (ms), the bound,
--       the end (ms) that the one there has to have ('' for any, also for none), idempotency key ('' for none), its digest,
--       its TTL
-- answers {'ok'} | {'known'} (it was there, and is now as given) | {'unknown'} (nothing to drop) | {'full'}
--       | {'changed'} (the one there has another end, or is gone) | {'repeat', id} (the key came before with this digest)
--       | {'reused'} (it came with another one)
--
-- Only what is not over counts against the bound. Of what is over, as many again are kept: those that ended last.
local shelf, id, ends = KEYS[1] .. ':' .. ARGV[2], ARGV[3], tonumber(ARGV[4])
local call = redis.call
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000) + tonumber(ARGV[1])
local kept, bound = tonumber(ARGV[6]), tonumber(ARGV[7])
if ends == 0 then return { call('HDEL', shelf, id) == 1 and 'ok' or 'unknown' } end

local idempotency, digest = KEYS[1] .. ':idem:' .. ARGV[9], ARGV[10]
if ARGV[9] ~= '' then
  local before = call('GET', idempotency)
  if before then
    local found = string.match(before, '^' .. digest .. '|(%x+)$')
    if found then return { 'repeat', found } end
    return { 'reused' }
  end
end

local held = call('HGETALL', shelf)
local live, last, past = 0, ends, {}
local there, counted = nil, false
for i = 1, #held, 2 do
  local finish = tonumber(string.match(held[i + 1], '^%d+'))
  if held[i] == id then
    there, counted = finish, finish > now
  elseif finish + kept < now then
    call('HDEL', shelf, held[i])
  else
    last = math.max(last, finish)
    if finish > now then live = live + 1 else past[#past + 1] = { finish, held[i] } end
  end
end
if ARGV[8] ~= '' and there ~= tonumber(ARGV[8]) then return { 'changed' } end
if not counted and live >= bound then return { 'full' } end
table.sort(past, function(one, other) return one[1] > other[1] end)
for i = bound + 1, #past do call('HDEL', shelf, past[i][2]) end
call('HSET', shelf, id, string.format('%.0f', ends) .. '|' .. ARGV[5])
call('PEXPIRE', shelf, string.format('%.0f', last + kept - now))
if ARGV[9] ~= '' then call('SET', idempotency, digest .. '|' .. id, 'PX', ARGV[11]) end
return { there and 'known' or 'ok' }
