#!lua flags=no-writes
-- A page of the open incidents, oldest first: what fires in each, and whether it is known to be muted.
--
-- KEYS[1] base; ARGV: first rank, last rank
-- answers a text for each: 'id|state|firing now|fired ever|heard ms|muted (1 or 0)'
local base = KEYS[1]
local call = redis.call
local found = {}
for i, id in ipairs(call('ZRANGE', base .. ':x:open', ARGV[1], ARGV[2])) do
  local held = call('HMGET', base .. ':i:' .. id, 'st', 'h', 'snap', 'n1', 'n2', 'n3', 'n4', 't1', 't2', 't3', 't4')
  local firing, fired = 0, 0
  for severity = 1, 4 do
    firing = firing + math.max(tonumber(held[3 + severity] or '0'), 0)
    fired = fired + tonumber(held[7 + severity] or '0')
  end
  -- Inside a text of the snapshot the quotes would be escaped.
  local muted = held[3] and string.find(held[3], '"muted":[{', 1, true) and 1 or 0
  found[i] = string.format('%s|%s|%.0f|%.0f|%s|%d', id, held[1] or 'new', firing, fired, held[2] or '0', muted)
end
return found
