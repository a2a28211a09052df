#!lua
-- Try whether alerts could be written now, by a write that is as durable as theirs are.
--
-- No allow-oom, as in ingest.lua: a store that is full refuses it.
-- KEYS[1] base; ARGV: what to write
redis.call('SET', KEYS[1] .. ':look', ARGV[1], 'PX', '60000')
return 1
