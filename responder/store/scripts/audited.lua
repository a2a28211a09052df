#!lua flags=no-writes
-- A part of the audit, and what is kept beside it, as they are at one moment.
--
-- KEYS[1] base; ARGV: the number of the entry after which it begins (0 for all), at most so many lines
-- answers {the place of the first line from 0, how many lines there are, the newest hash ('' for none), lines}
local base, after, limit = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2])
local call = redis.call
local list = base .. ':audit'
local total = call('LLEN', list)

local function number(at)
  local line = call('LINDEX', list, at)
  return line and tonumber(string.match(line, '^{"number":(%d+),') or '')
end

local at = 0
if after > 0 and total > 0 then
  at = after + 1 - (number(0) or 1)
  -- Numbers follow each other, unless somebody took lines out or put some in: then a few steps lead to the place.
  for _ = 1, 16 do
    at = math.min(math.max(at, 0), total)
    local found = at > 0 and number(at - 1)
    if not found or found == after then break end
    at = at + after - found
  end
  at = math.min(math.max(at, 0), total)
end
return { at, total, call('GET', base .. ':audit:head') or '', call('LRANGE', list, at, at + limit - 1) }
