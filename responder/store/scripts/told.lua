#!lua flags=allow-oom
-- These know what became of the incident into which they were folded; what was folded again since hears of the next end.
--
-- KEYS[1] base; ARGV: incident, {id, folded at, ...}
local list, call = KEYS[1] .. ':folded:' .. ARGV[1], redis.call
for i = 2, #ARGV, 2 do
  local folded = string.match(call('HGET', list, ARGV[i]) or '', '^%d+|(%d+)|') or '0'
  if folded == ARGV[i + 1] then call('SREM', list .. ':due', ARGV[i]) end
end
return 0
