-- What a project and a user make the registry keep, counted where it is written; and core
-- metadata that is kept once, as a blob named by its SHA-256. The same in the dialect of
-- PostgreSQL is in migrations/postgres; change both.

-- Bytes and files of a project, changed with its files in the same transaction. A project
-- without a row has not been written to since this table is there: its files are summed.
CREATE TABLE project_usage (
    project_id TEXT NOT NULL PRIMARY KEY REFERENCES projects (id),
    bytes INTEGER NOT NULL,
    staged_bytes INTEGER NOT NULL,
    files INTEGER NOT NULL
) STRICT;

-- Bytes that a user uploaded in an hour since 1970; old hours are forgotten.
CREATE TABLE uploaded_bytes (
    user_id TEXT NOT NULL,
    hour INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    PRIMARY KEY (user_id, hour)
) STRICT;
CREATE INDEX uploaded_bytes_by_hour ON uploaded_bytes (hour);

-- Bytes of the core metadata that is kept for the file. Without: a file of before, whose
-- metadata lies beside it under the name of its content.
ALTER TABLE files ADD COLUMN metadata_size INTEGER;
CREATE INDEX files_by_metadata ON files (metadata_sha256) WHERE metadata_size IS NOT NULL;

-- The metadata of the first file, a blob. Without: a release of before, whose metadata is
-- JSON in the row.
ALTER TABLE releases ADD COLUMN metadata_sha256 BLOB;
CREATE INDEX releases_by_metadata ON releases (metadata_sha256) WHERE metadata_sha256 IS NOT NULL;

-- Wheels whose name begins or ends like no project's (`.dotty-2.0-…`, `x_-1.0-…`) were
-- accepted once. They no longer stand in the way of the name that is right.
UPDATE file_names SET name_key = 'malformed/' || name
    WHERE name LIKE '%.whl' AND (substr(name, 1, 1) IN ('.', '_') OR substr(name, instr(name, '-') - 1, 1) IN ('.', '_'));
