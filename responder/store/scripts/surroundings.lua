#!lua flags=no-writes
-- What every replica looks at about once a second: maintenance windows, what was told of them, outlines of open incidents.
--
-- KEYS[1] base; ARGV: shift, the version of the outlines that is known ('' for none)
-- answers {now, windows as they lie on their shelf, fields and values of what was told, version, fields and values of the
--          outlines ('' where the version is the known one)}
local base = KEYS[1]
local call = redis.call
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000) + tonumber(ARGV[1])
local version = call('HGET', base .. ':outlines', '#') or '0'
return {
  string.format('%.0f', now), call('HVALS', base .. ':maintenance'), call('HGETALL', base .. ':told'), version,
  version ~= ARGV[2] and call('HGETALL', base .. ':outlines') or '',
}
