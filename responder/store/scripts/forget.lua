#!lua flags=allow-oom
-- Take the canary out of the store, with all that belongs to it.
--
-- KEYS[1] base; ARGV: fingerprint of its alert, its key, the queue that carries its messages alone
-- answers its id, '' where there is none
local base, call = KEYS[1], redis.call
local record = call('GET', base .. ':a:' .. ARGV[1]) or ''
local id = string.match(record, '^%a|%-?%d+|%-?%d+|%d+|%d|(%x*)|') or ''
for _, index in ipairs({ ':u', ':n' }) do
  local queue = base .. ':q:' .. ARGV[3] .. index
  for _, lane in ipairs(call('ZRANGE', queue, 0, 999)) do
    call('ZREM', queue, lane)
    call('DEL', base .. ':l:' .. lane, base .. ':l:' .. lane .. ':s')
  end
end
call('DEL', base .. ':a:' .. ARGV[1])
if id == '' then return id end
if call('GET', base .. ':k:' .. ARGV[2]) == id then call('DEL', base .. ':k:' .. ARGV[2]) end
for _, part in ipairs({ '', ':m', ':t', ':in', ':d' }) do call('DEL', base .. ':i:' .. id .. part) end
call('ZREM', base .. ':w:u', id)
call('ZREM', base .. ':w:n', id)
return id
