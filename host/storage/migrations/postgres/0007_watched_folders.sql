-- What a server found in the folder that it watches for policy sets. The same in the dialect of
-- SQLite is in migrations/sqlite; change both.
ALTER TABLE servers ADD COLUMN watched_folder TEXT;
ALTER TABLE servers ADD COLUMN watched_at BIGINT;
ALTER TABLE servers ADD COLUMN watched_set BIGINT;
ALTER TABLE servers ADD COLUMN watched_error TEXT;
