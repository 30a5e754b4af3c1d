-- What keeps lists, counts and searches at one price whatever has grown. The same, in the
-- dialect of PostgreSQL, is in migrations/postgres; change both.

-- Serial of the last change of the list of projects, and how many projects readers see:
-- counted with the commit that shows one, so that nobody has to count them.
ALTER TABLE registry_state ADD COLUMN list_serial INTEGER NOT NULL DEFAULT 0;
ALTER TABLE registry_state ADD COLUMN projects INTEGER NOT NULL DEFAULT 0;
UPDATE registry_state SET list_serial = serial, projects = (SELECT COUNT(*) FROM projects WHERE published_at IS NOT NULL);

-- Projects that readers see, with all that the list says of them, so that it is read from
-- beginning to end and nothing is looked up; those that only hold a staged release are passed over.
CREATE INDEX projects_listed ON projects (normalized, written, status, published_at) WHERE published_at IS NOT NULL;
-- The normalized name, for the same: serials in the order of names.
ALTER TABLE project_serials ADD COLUMN project_name TEXT;
UPDATE project_serials SET project_name = (SELECT normalized FROM projects WHERE projects.id = project_serials.project_id);
CREATE INDEX project_serials_by_name ON project_serials (project_name, serial);
CREATE INDEX projects_newest ON projects (published_at DESC, normalized) WHERE published_at IS NOT NULL;

-- What housekeeping forgets by, and what is listed newest first.
CREATE INDEX sessions_by_use ON sessions (last_used_at);
CREATE INDEX devices_by_use ON devices (last_seen_at);
CREATE INDEX outbox_by_state ON outbox (state, created_at, id);
CREATE INDEX recoveries_by_start ON recoveries (started_at, id);
-- Whether anybody is staff.
CREATE INDEX users_staff ON users (id) WHERE staff;
