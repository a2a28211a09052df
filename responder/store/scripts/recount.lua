#!lua flags=allow-oom
-- Count the open incidents anew, and put right the counts that are kept of them.
--
-- KEYS[1] base; ARGV: limit (more open incidents than this are not counted in one step)
-- answers the number of counts that were wrong
local base, call = KEYS[1], redis.call
if call('ZCARD', base .. ':x:open') > tonumber(ARGV[1]) then return 0 end
local counted, wrong = {}, 0
for _, id in ipairs(call('ZRANGE', base .. ':x:open', 0, -1)) do
  local gauge = call('HGET', base .. ':i:' .. id, 'gauge')
  if gauge and gauge ~= '' then counted[gauge] = (counted[gauge] or 0) + 1 end
end
local kept = call('HGETALL', base .. ':gauge')
for i = 1, #kept, 2 do
  local right = counted[kept[i]]
  if tonumber(kept[i + 1]) ~= right then
    wrong = wrong + 1
    if right then call('HSET', base .. ':gauge', kept[i], right) else call('HDEL', base .. ':gauge', kept[i]) end
  end
  counted[kept[i]] = nil
end
for gauge, right in pairs(counted) do
  wrong = wrong + 1
  call('HSET', base .. ':gauge', gauge, right)
end
return wrong
