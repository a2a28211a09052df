#!lua flags=no-writes
-- The last states of alerts, without their bodies: what a comparison with Alertmanager needs.
--
-- KEYS[1] base; ARGV[1] msgpack list of fingerprints
-- answers a text for each: 'status|starts|ends|recorded|severity|incident|state of the incident|ms to its expiry|sender',
--         '' where nothing is known; sender is the digest at the end of the body, '' where there is none
local base = KEYS[1]
local names = cmsgpack.unpack(ARGV[1])
local call, match = redis.call, string.match
local state_of, found = {}, {}
for i = 1, #names do
  local key = base .. ':a:' .. names[i]
  local head, id = match(call('GETRANGE', key, 0, 127), '^(%a|%-?%d+|%-?%d+|%d+|%d|(%x*)|)')
  if head then
    if id ~= '' and state_of[id] == nil then
      state_of[id] = call('HGET', base .. ':i:' .. id, 'st') or 'resolved'
    end
    local sender = match(call('GETRANGE', key, -40, -1), '"sender":"(%x+)"}$') or ''
    found[i] = head .. (state_of[id] or '') .. '|' .. call('PTTL', key) .. '|' .. sender
  else
    found[i] = ''
  end
end
return found
