#!lua flags=no-writes
-- Some of those that were folded into an incident and do not know yet what became of it, with their present state.
--
-- KEYS[1] base; ARGV: shift, incident, how many
-- answers {now ms, 1 where people are paged for it, its episode, {id|episode|folded at|state ('' where it is gone), ...}}
local base, id = KEYS[1], ARGV[2]
local call = redis.call
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000) + tonumber(ARGV[1])
local held = call('HMGET', base .. ':i:' .. id, 'st', 'snap', 'ep')
local paged = held[1] == 'triggered' and not (held[2] and string.find(held[2], '"holds":[{', 1, true))
local list, found = base .. ':folded:' .. id, {}
for i, one in ipairs(call('SRANDMEMBER', list .. ':due', ARGV[3])) do
  local folded = string.match(call('HGET', list, one) or '', '^%d+|%d+|') or '0|0|'
  found[i] = one .. '|' .. folded .. (call('HGET', base .. ':i:' .. one, 'st') or '')
end
return { string.format('%.0f', now), paged and 1 or 0, tonumber(held[3] or '0'), found }
