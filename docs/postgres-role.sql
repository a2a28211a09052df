-- The role that responder uses on a Postgres server: it sees everything that the probes ask about, and writes nothing.
-- Run it as a superuser (or, on a managed service, as its admin role), once per server:
--
--   psql -v ON_ERROR_STOP=1 -f postgres-role.sql
--
-- then give it a password (\password responder) and, if custom SQL is to read tables of yours, GRANT SELECT on those.

-- 5 connections: one a replica of responder for its probes, one for an action, and some to spare.
CREATE ROLE responder LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE INHERIT CONNECTION LIMIT 5;

-- Others' sessions, statements and standbys. Without it, a count of connections would be a count of our own.
GRANT pg_monitor TO responder;

-- Nets, in case a limit of responder's own does not take hold.
ALTER ROLE responder SET statement_timeout = '15s';
ALTER ROLE responder SET lock_timeout = '5s';
ALTER ROLE responder SET idle_in_transaction_session_timeout = '30s';
ALTER ROLE responder SET default_transaction_read_only = on;

-- 16 and newer: a place of its own on a full server, which is when the probes are needed. It takes effect where
-- reserved_connections is set in postgresql.conf (2 is enough; a restart is needed).
DO $$
BEGIN
  IF current_setting('server_version_num')::int >= 160000 THEN
    GRANT pg_use_reserved_connections TO responder;
  END IF;
END
$$;

-- Only for the action postgres.terminate_idle: the right to end other roles' sessions (never a superuser's).
-- Leave it out, and the action is refused with this very statement as the reason.
GRANT pg_signal_backend TO responder;

-- Only where pg_stat_statements was created in a schema of its own (as on Supabase): the query "statements" names the
-- statement to run, such as
--   GRANT USAGE ON SCHEMA extensions TO responder;
