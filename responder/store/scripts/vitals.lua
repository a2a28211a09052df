#!lua flags=no-writes
-- Whether the daemon does its work, as far as the store can tell.
--
-- KEYS[1] base; ARGV: shift
-- answers {now, the longest overdue incident's time ('' for none), open incidents that nothing will wake, when the canary
--          last came through ('' for never), when the watchdog last ran ('' for never)}
local base, call = KEYS[1], redis.call
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000) + tonumber(ARGV[1])
local oldest
for _, index in ipairs({ ':w:u', ':w:n' }) do
  local first = call('ZRANGE', base .. index, 0, 0, 'WITHSCORES')
  local due = tonumber(first[2] or '')
  if due and due <= now and (oldest == nil or due < oldest) then oldest = due end
end
local forgotten = call('ZDIFF', 3, base .. ':x:open', base .. ':w:u', base .. ':w:n')
return {
  string.format('%.0f', now), oldest and string.format('%.0f', oldest) or '', #forgotten,
  call('GET', base .. ':canary') or '', call('HGET', base .. ':watchdog', 'at') or '',
}
