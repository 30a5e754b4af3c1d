-- A trusted publisher as whoever caused an audit event. The same in the dialect of
-- PostgreSQL is in migrations/postgres; change both.
ALTER TABLE audit_events ADD COLUMN actor_publisher_id TEXT;
ALTER TABLE audit_events ADD COLUMN actor_provider TEXT;
ALTER TABLE audit_events ADD COLUMN actor_subject TEXT;
