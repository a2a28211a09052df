#!lua flags=no-writes
-- Some of those that were folded into an incident and do not know yet what became of it, with their present state.
--
-- KEYS[1] base; ARGV: incident, how many
-- answers {state of the incident ('' where it is gone), 1 where people are paged for it, {id|episode|state, ...}}
local base, id = KEYS[1], ARGV[1]
local call = redis.call
local held = call('HMGET', base .. ':i:' .. id, 'st', 'snap')
local paged = held[1] == 'triggered' and not (held[2] and string.find(held[2], '"holds":[{', 1, true))
local list, found = base .. ':folded:' .. id, {}
for i, one in ipairs(call('SRANDMEMBER', list .. ':due', ARGV[2])) do
  local episode = string.match(call('HGET', list, one) or '', '^(%d+)|') or '0'
  found[i] = one .. '|' .. episode .. '|' .. (call('HGET', base .. ':i:' .. one, 'st') or '')
end
return { held[1] or '', paged and 1 or 0, found }
