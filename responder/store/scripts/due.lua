#!lua flags=no-writes
-- What is due, the urgent first, and when something is due next: one call a second finds all that is left lying.
--
-- KEYS[1] base; ARGV: shift, msgpack {limit of urgent incidents, of others},
--          msgpack map of queue to such a pair, limit of queues not in it
-- answers {now, urgent incidents, other incidents, next due ms ('' for none), {{queue, urgent lanes, other lanes}, ...},
--          the longest overdue incident's time ('' for none)}
local base = KEYS[1]
local call, fmt = redis.call, string.format
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000) + tonumber(ARGV[1])
local now_text = fmt('%.0f', now)
local incidents, limits = cmsgpack.unpack(ARGV[2]), cmsgpack.unpack(ARGV[3])
local default = { tonumber(ARGV[4]), tonumber(ARGV[4]) }
local soonest

local function look(index, limit)
  local after = call('ZRANGEBYSCORE', index, '(' .. now_text, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
  if after[2] and (soonest == nil or tonumber(after[2]) < soonest) then soonest = tonumber(after[2]) end
  if limit <= 0 then return {} end
  return call('ZRANGEBYSCORE', index, '-inf', now_text, 'LIMIT', 0, limit)
end

local function both(index, limit) return look(index .. ':u', limit[1]), look(index .. ':n', limit[2]) end

local oldest
for _, index in ipairs({ ':w:u', ':w:n' }) do
  local first = call('ZRANGE', base .. index, 0, 0, 'WITHSCORES')
  if first[2] and tonumber(first[2]) <= now and (oldest == nil or tonumber(first[2]) < oldest) then
    oldest = tonumber(first[2])
  end
end
local urgent, others = both(base .. ':w', incidents)
local lanes = {}
for _, queue in ipairs(call('SMEMBERS', base .. ':queues')) do
  local first, rest = both(base .. ':q:' .. queue, limits[queue] or default)
  if #first + #rest > 0 then lanes[#lanes + 1] = { queue, first, rest } end
end
return {
  now_text, urgent, others, soonest and fmt('%.0f', soonest) or '', lanes, oldest and fmt('%.0f', oldest) or '',
}
