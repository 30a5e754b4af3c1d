-- What a server found in the folder that it watches for policy sets. The same in the dialect of
-- PostgreSQL is in migrations/postgres; change both.
ALTER TABLE servers ADD COLUMN watched_folder TEXT;
ALTER TABLE servers ADD COLUMN watched_at INTEGER;
ALTER TABLE servers ADD COLUMN watched_set INTEGER;
ALTER TABLE servers ADD COLUMN watched_error TEXT;
