-- The tables of the registry. The same tables, in the dialect of SQLite, are in
-- migrations/sqlite; change both. Identifiers are UUIDs in text, times are milliseconds
-- since 1970, JSON is text. Text that is ordered or compared is collated by bytes, so that
-- both databases agree. A constraint's name says what it means (src/error.rs).

-- One row: the last serial, and a count of all units of work.
CREATE TABLE registry_state (
    only_row BIGINT PRIMARY KEY CHECK (only_row = 1),
    serial BIGINT NOT NULL,
    revision BIGINT NOT NULL
);
INSERT INTO registry_state (only_row, serial, revision) VALUES (1, 0, 0);

CREATE TABLE users (
    id TEXT COLLATE "C" NOT NULL,
    folded_name TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    staff BOOLEAN NOT NULL,
    password_hash TEXT,
    password_set_at BIGINT,
    password_disabled TEXT,
    totp_secret TEXT,
    totp_enrolled_at BIGINT,
    totp_last_step BIGINT,
    disabled_at BIGINT,
    disabled_reason TEXT,
    CONSTRAINT user_id_taken PRIMARY KEY (id),
    CONSTRAINT user_name_taken UNIQUE (folded_name)
);

CREATE TABLE emails (
    folded_address TEXT COLLATE "C" NOT NULL,
    address TEXT COLLATE "C" NOT NULL,
    user_id TEXT COLLATE "C" NOT NULL REFERENCES users (id),
    added_at BIGINT NOT NULL,
    verified_at BIGINT,
    is_primary BOOLEAN NOT NULL,
    CONSTRAINT email_taken PRIMARY KEY (folded_address)
);
CREATE INDEX emails_by_user ON emails (user_id);
CREATE UNIQUE INDEX email_primary_raced ON emails (user_id) WHERE is_primary;

CREATE TABLE tokens (
    id TEXT COLLATE "C" NOT NULL,
    user_id TEXT COLLATE "C" NOT NULL REFERENCES users (id),
    description TEXT COLLATE "C" NOT NULL,
    key BYTEA NOT NULL,
    stored_caveats TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    last_used_at BIGINT,
    made_with_second_factor BOOLEAN NOT NULL,
    revoked_at BIGINT,
    CONSTRAINT token_id_taken PRIMARY KEY (id)
);
CREATE UNIQUE INDEX token_description_taken ON tokens (user_id, description) WHERE revoked_at IS NULL;

CREATE TABLE projects (
    id TEXT COLLATE "C" NOT NULL,
    normalized TEXT COLLATE "C" NOT NULL,
    -- The text that all names share that a person could take for this one.
    looks TEXT COLLATE "C" NOT NULL,
    written TEXT COLLATE "C" NOT NULL,
    status TEXT COLLATE "C" NOT NULL,
    status_reason TEXT,
    created_at BIGINT NOT NULL,
    published_at BIGINT,
    CONSTRAINT project_id_taken PRIMARY KEY (id),
    CONSTRAINT project_name_taken UNIQUE (normalized),
    CONSTRAINT project_name_similar UNIQUE (looks)
);

CREATE TABLE project_roles (
    project_id TEXT COLLATE "C" NOT NULL REFERENCES projects (id),
    user_id TEXT COLLATE "C" NOT NULL REFERENCES users (id),
    role TEXT COLLATE "C" NOT NULL,
    granted_at BIGINT NOT NULL,
    CONSTRAINT role_raced PRIMARY KEY (project_id, user_id)
);
CREATE INDEX project_roles_by_user ON project_roles (user_id);

CREATE TABLE project_settings (
    project_id TEXT COLLATE "C" NOT NULL REFERENCES projects (id),
    policy TEXT COLLATE "C" NOT NULL,
    settings TEXT NOT NULL,
    updated_at BIGINT NOT NULL,
    CONSTRAINT settings_raced PRIMARY KEY (project_id, policy)
);

-- Changes that readers see. Without references: it outlives what it tells of.
CREATE TABLE journal (
    serial BIGINT PRIMARY KEY,
    project_id TEXT COLLATE "C" NOT NULL,
    project_name TEXT COLLATE "C" NOT NULL,
    action TEXT NOT NULL,
    at BIGINT NOT NULL
);

-- The last serial of each project, apart from it: written only while the row of
-- registry_state is locked, so that it can take part in no deadlock.
CREATE TABLE project_serials (
    project_id TEXT COLLATE "C" PRIMARY KEY,
    serial BIGINT NOT NULL
);

CREATE TABLE releases (
    id TEXT COLLATE "C" NOT NULL,
    project_id TEXT COLLATE "C" NOT NULL REFERENCES projects (id),
    -- The text that all spellings of one version share.
    version_key TEXT COLLATE "C" NOT NULL,
    version TEXT COLLATE "C" NOT NULL,
    state TEXT COLLATE "C" NOT NULL,
    metadata TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    published_at BIGINT,
    yanked_at BIGINT,
    yanked_reason TEXT,
    CONSTRAINT release_id_taken PRIMARY KEY (id),
    CONSTRAINT release_raced UNIQUE (project_id, version_key)
);

-- Every name that a file has, or had while it was public. A name with a time is burned.
CREATE TABLE file_names (
    name TEXT COLLATE "C" NOT NULL,
    -- The text that all spellings of one name share.
    name_key TEXT COLLATE "C" NOT NULL,
    burned_at BIGINT,
    CONSTRAINT file_name_taken PRIMARY KEY (name),
    CONSTRAINT file_name_spelled UNIQUE (name_key)
);

CREATE TABLE files (
    id TEXT COLLATE "C" NOT NULL,
    project_id TEXT COLLATE "C" NOT NULL REFERENCES projects (id),
    release_id TEXT COLLATE "C" NOT NULL REFERENCES releases (id),
    name TEXT COLLATE "C" NOT NULL REFERENCES file_names (name),
    kind TEXT COLLATE "C" NOT NULL,
    size BIGINT NOT NULL,
    md5 BYTEA NOT NULL,
    sha256 BYTEA NOT NULL,
    blake2_256 BYTEA NOT NULL,
    requires_python TEXT,
    metadata_sha256 BYTEA,
    python_version TEXT NOT NULL,
    comment TEXT,
    uploaded_at BIGINT NOT NULL,
    uploaded_by TEXT COLLATE "C",
    uploaded_with TEXT COLLATE "C",
    state TEXT COLLATE "C" NOT NULL,
    published_at BIGINT,
    CONSTRAINT file_id_taken PRIMARY KEY (id),
    CONSTRAINT file_name_used UNIQUE (name),
    CONSTRAINT file_content_taken UNIQUE (blake2_256)
);
CREATE INDEX files_by_project ON files (project_id, name);
CREATE INDEX files_by_release ON files (release_id, name);
CREATE INDEX files_staged ON files (project_id) WHERE state = 'staged';
CREATE UNIQUE INDEX source_distribution_taken ON files (release_id) WHERE kind = 'sdist';

CREATE TABLE policy_modules (
    digest TEXT COLLATE "C" PRIMARY KEY,
    name TEXT COLLATE "C" NOT NULL,
    version TEXT NOT NULL,
    bytes BYTEA NOT NULL,
    added_at BIGINT NOT NULL
);

CREATE TABLE policy_sets (
    number BIGINT NOT NULL,
    name TEXT NOT NULL,
    spec TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT COLLATE "C",
    CONSTRAINT policy_set_raced PRIMARY KEY (number)
);

CREATE TABLE policy_activations (
    sequence BIGINT NOT NULL,
    set_number BIGINT NOT NULL REFERENCES policy_sets (number),
    at BIGINT NOT NULL,
    activated_by TEXT COLLATE "C",
    kind TEXT NOT NULL,
    reason TEXT NOT NULL,
    CONSTRAINT policy_activation_raced PRIMARY KEY (sequence)
);

CREATE TABLE servers (
    server TEXT COLLATE "C" PRIMARY KEY,
    host TEXT NOT NULL,
    pid BIGINT NOT NULL,
    set_number BIGINT,
    started_at BIGINT NOT NULL,
    heartbeat_at BIGINT NOT NULL,
    last_error TEXT,
    last_error_set BIGINT
);

-- Without references: decisions are also made about what does not exist, and they and
-- audit events outlive what they tell of.
CREATE TABLE decisions (
    id TEXT COLLATE "C" PRIMARY KEY,
    at BIGINT NOT NULL,
    action TEXT COLLATE "C" NOT NULL,
    outcome TEXT COLLATE "C" NOT NULL,
    set_number BIGINT,
    user_id TEXT COLLATE "C",
    token_id TEXT COLLATE "C",
    project_name TEXT COLLATE "C",
    route TEXT NOT NULL,
    remote_address TEXT NOT NULL,
    microseconds BIGINT NOT NULL,
    would_refuse TEXT,
    record TEXT NOT NULL
);
CREATE INDEX decisions_by_time ON decisions (at, id);
CREATE INDEX decisions_by_outcome ON decisions (outcome, at, id);
CREATE INDEX decisions_by_action ON decisions (action, at, id);
CREATE INDEX decisions_by_project ON decisions (project_name, at, id) WHERE project_name IS NOT NULL;
CREATE INDEX decisions_by_would_refuse ON decisions (at, id) WHERE would_refuse IS NOT NULL;
CREATE INDEX decisions_by_user ON decisions (user_id, at, id) WHERE user_id IS NOT NULL;

CREATE TABLE audit_events (
    sequence BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at BIGINT NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    actor_kind TEXT COLLATE "C" NOT NULL,
    actor_user_id TEXT COLLATE "C",
    actor_token_id TEXT COLLATE "C",
    actor_remote_address TEXT,
    actor_user_agent TEXT,
    actor_system_user TEXT,
    user_id TEXT COLLATE "C",
    project_id TEXT COLLATE "C",
    decision_id TEXT COLLATE "C",
    detail TEXT NOT NULL
);
CREATE INDEX audit_events_by_user ON audit_events (user_id, sequence) WHERE user_id IS NOT NULL;
CREATE INDEX audit_events_by_actor ON audit_events (actor_user_id, sequence) WHERE actor_user_id IS NOT NULL;
CREATE INDEX audit_events_by_project ON audit_events (project_id, sequence) WHERE project_id IS NOT NULL;
CREATE INDEX audit_events_by_kind ON audit_events (kind, sequence);

CREATE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit events are never changed and never deleted';
END
$$;
CREATE TRIGGER audit_events_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change();

CREATE TABLE attempts (
    key TEXT COLLATE "C" NOT NULL,
    at BIGINT NOT NULL
);
CREATE INDEX attempts_by_key ON attempts (key, at);
CREATE INDEX attempts_by_time ON attempts (at);
