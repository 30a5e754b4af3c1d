-- Projects in quarantine are listed nowhere, and so not counted. The same in the dialect of
-- SQLite is in migrations/sqlite; change both.
UPDATE registry_state SET projects = (SELECT COUNT(*) FROM projects WHERE published_at IS NOT NULL AND status <> 'quarantined');
