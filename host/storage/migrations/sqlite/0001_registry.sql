-- The tables of the registry. The same tables, in the dialect of PostgreSQL, are in
-- migrations/postgres; change both. Identifiers are UUIDs in text, times are milliseconds
-- since 1970, JSON is text. A constraint's name says what it means (src/error.rs).

-- One row: the last serial, and a count of all units of work.
CREATE TABLE registry_state (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    serial INTEGER NOT NULL,
    revision INTEGER NOT NULL
) STRICT;
INSERT INTO registry_state (only_row, serial, revision) VALUES (1, 0, 0);

CREATE TABLE users (
    id TEXT NOT NULL,
    folded_name TEXT NOT NULL,
    name TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    staff INTEGER NOT NULL CHECK (staff IN (0, 1)),
    password_hash TEXT,
    password_set_at INTEGER,
    password_disabled TEXT,
    totp_secret TEXT,
    totp_enrolled_at INTEGER,
    totp_last_step INTEGER,
    disabled_at INTEGER,
    disabled_reason TEXT,
    CONSTRAINT user_id_taken PRIMARY KEY (id),
    CONSTRAINT user_name_taken UNIQUE (folded_name)
) STRICT;

CREATE TABLE emails (
    folded_address TEXT NOT NULL,
    address TEXT NOT NULL,
    user_id TEXT NOT NULL REFERENCES users (id),
    added_at INTEGER NOT NULL,
    verified_at INTEGER,
    is_primary INTEGER NOT NULL CHECK (is_primary IN (0, 1)),
    CONSTRAINT email_taken PRIMARY KEY (folded_address)
) STRICT;
CREATE INDEX emails_by_user ON emails (user_id);
CREATE UNIQUE INDEX email_primary_raced ON emails (user_id) WHERE is_primary;

CREATE TABLE tokens (
    id TEXT NOT NULL,
    user_id TEXT NOT NULL REFERENCES users (id),
    description TEXT NOT NULL,
    key BLOB NOT NULL,
    stored_caveats TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    last_used_at INTEGER,
    made_with_second_factor INTEGER NOT NULL CHECK (made_with_second_factor IN (0, 1)),
    revoked_at INTEGER,
    CONSTRAINT token_id_taken PRIMARY KEY (id)
) STRICT;
CREATE UNIQUE INDEX token_description_taken ON tokens (user_id, description) WHERE revoked_at IS NULL;

CREATE TABLE projects (
    id TEXT NOT NULL,
    normalized TEXT NOT NULL,
    -- The text that all names share that a person could take for this one.
    looks TEXT NOT NULL,
    written TEXT NOT NULL,
    status TEXT NOT NULL,
    status_reason TEXT,
    created_at INTEGER NOT NULL,
    published_at INTEGER,
    CONSTRAINT project_id_taken PRIMARY KEY (id),
    -- The last one is looked at first here, the first one by PostgreSQL: a name that is
    -- taken looks like itself too, and is to be called taken.
    CONSTRAINT project_name_similar UNIQUE (looks),
    CONSTRAINT project_name_taken UNIQUE (normalized)
) STRICT;

CREATE TABLE project_roles (
    project_id TEXT NOT NULL REFERENCES projects (id),
    user_id TEXT NOT NULL REFERENCES users (id),
    role TEXT NOT NULL,
    granted_at INTEGER NOT NULL,
    CONSTRAINT role_raced PRIMARY KEY (project_id, user_id)
) STRICT;
CREATE INDEX project_roles_by_user ON project_roles (user_id);

CREATE TABLE project_settings (
    project_id TEXT NOT NULL REFERENCES projects (id),
    policy TEXT NOT NULL,
    settings TEXT NOT NULL,
    updated_at INTEGER NOT NULL,
    CONSTRAINT settings_raced PRIMARY KEY (project_id, policy)
) STRICT;

-- Changes that readers see. Without references: it outlives what it tells of.
CREATE TABLE journal (
    serial INTEGER PRIMARY KEY,
    project_id TEXT NOT NULL,
    project_name TEXT NOT NULL,
    action TEXT NOT NULL,
    at INTEGER NOT NULL
) STRICT;

-- The last serial of each project, apart from it: written only while the row of
-- registry_state is locked, so that it can take part in no deadlock.
CREATE TABLE project_serials (
    project_id TEXT NOT NULL PRIMARY KEY,
    serial INTEGER NOT NULL
) STRICT;

CREATE TABLE releases (
    id TEXT NOT NULL,
    project_id TEXT NOT NULL REFERENCES projects (id),
    -- The text that all spellings of one version share.
    version_key TEXT NOT NULL,
    version TEXT NOT NULL,
    state TEXT NOT NULL,
    metadata TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    published_at INTEGER,
    yanked_at INTEGER,
    yanked_reason TEXT,
    CONSTRAINT release_id_taken PRIMARY KEY (id),
    CONSTRAINT release_raced UNIQUE (project_id, version_key)
) STRICT;

-- Every name that a file has, or had while it was public. A name with a time is burned.
CREATE TABLE file_names (
    name TEXT NOT NULL,
    -- The text that all spellings of one name share.
    name_key TEXT NOT NULL,
    burned_at INTEGER,
    CONSTRAINT file_name_taken PRIMARY KEY (name),
    CONSTRAINT file_name_spelled UNIQUE (name_key)
) STRICT;

CREATE TABLE files (
    id TEXT NOT NULL,
    project_id TEXT NOT NULL REFERENCES projects (id),
    release_id TEXT NOT NULL REFERENCES releases (id),
    name TEXT NOT NULL REFERENCES file_names (name),
    kind TEXT NOT NULL,
    size INTEGER NOT NULL,
    md5 BLOB NOT NULL,
    sha256 BLOB NOT NULL,
    blake2_256 BLOB NOT NULL,
    requires_python TEXT,
    metadata_sha256 BLOB,
    python_version TEXT NOT NULL,
    comment TEXT,
    uploaded_at INTEGER NOT NULL,
    uploaded_by TEXT,
    uploaded_with TEXT,
    state TEXT NOT NULL,
    published_at INTEGER,
    CONSTRAINT file_id_taken PRIMARY KEY (id),
    CONSTRAINT file_name_used UNIQUE (name),
    CONSTRAINT file_content_taken UNIQUE (blake2_256)
) STRICT;
CREATE INDEX files_by_project ON files (project_id, name);
CREATE INDEX files_by_release ON files (release_id, name);
CREATE INDEX files_staged ON files (project_id) WHERE state = 'staged';
CREATE UNIQUE INDEX source_distribution_taken ON files (release_id) WHERE kind = 'sdist';

CREATE TABLE policy_modules (
    digest TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    bytes BLOB NOT NULL,
    added_at INTEGER NOT NULL
) STRICT;

CREATE TABLE policy_sets (
    number INTEGER NOT NULL,
    name TEXT NOT NULL,
    spec TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    created_by TEXT,
    CONSTRAINT policy_set_raced PRIMARY KEY (number)
) STRICT;

CREATE TABLE policy_activations (
    sequence INTEGER NOT NULL,
    set_number INTEGER NOT NULL REFERENCES policy_sets (number),
    at INTEGER NOT NULL,
    activated_by TEXT,
    kind TEXT NOT NULL,
    reason TEXT NOT NULL,
    CONSTRAINT policy_activation_raced PRIMARY KEY (sequence)
) STRICT;

CREATE TABLE servers (
    server TEXT NOT NULL PRIMARY KEY,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    set_number INTEGER,
    started_at INTEGER NOT NULL,
    heartbeat_at INTEGER NOT NULL,
    last_error TEXT,
    last_error_set INTEGER
) STRICT;

-- Without references: decisions are also made about what does not exist, and they and
-- audit events outlive what they tell of.
CREATE TABLE decisions (
    id TEXT NOT NULL PRIMARY KEY,
    at INTEGER NOT NULL,
    action TEXT NOT NULL,
    outcome TEXT NOT NULL,
    set_number INTEGER,
    user_id TEXT,
    token_id TEXT,
    project_name TEXT,
    route TEXT NOT NULL,
    remote_address TEXT NOT NULL,
    microseconds INTEGER NOT NULL,
    would_refuse TEXT,
    record TEXT NOT NULL
) STRICT;
CREATE INDEX decisions_by_time ON decisions (at, id);
CREATE INDEX decisions_by_outcome ON decisions (outcome, at, id);
CREATE INDEX decisions_by_action ON decisions (action, at, id);
CREATE INDEX decisions_by_project ON decisions (project_name, at, id) WHERE project_name IS NOT NULL;
CREATE INDEX decisions_by_would_refuse ON decisions (at, id) WHERE would_refuse IS NOT NULL;
CREATE INDEX decisions_by_user ON decisions (user_id, at, id) WHERE user_id IS NOT NULL;

CREATE TABLE audit_events (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    actor_kind TEXT NOT NULL,
    actor_user_id TEXT,
    actor_token_id TEXT,
    actor_remote_address TEXT,
    actor_user_agent TEXT,
    actor_system_user TEXT,
    user_id TEXT,
    project_id TEXT,
    decision_id TEXT,
    detail TEXT NOT NULL
) STRICT;
CREATE INDEX audit_events_by_user ON audit_events (user_id, sequence) WHERE user_id IS NOT NULL;
CREATE INDEX audit_events_by_actor ON audit_events (actor_user_id, sequence) WHERE actor_user_id IS NOT NULL;
CREATE INDEX audit_events_by_project ON audit_events (project_id, sequence) WHERE project_id IS NOT NULL;
CREATE INDEX audit_events_by_kind ON audit_events (kind, sequence);

CREATE TRIGGER audit_events_are_not_changed BEFORE UPDATE ON audit_events
BEGIN
    SELECT RAISE(ABORT, 'audit events are never changed and never deleted');
END;
CREATE TRIGGER audit_events_are_not_deleted BEFORE DELETE ON audit_events
BEGIN
    SELECT RAISE(ABORT, 'audit events are never changed and never deleted');
END;

CREATE TABLE attempts (
    key TEXT NOT NULL,
    at INTEGER NOT NULL
) STRICT;
CREATE INDEX attempts_by_key ON attempts (key, at);
CREATE INDEX attempts_by_time ON attempts (at);
