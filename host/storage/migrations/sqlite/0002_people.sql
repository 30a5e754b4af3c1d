-- People: browser sessions, security keys, recovery codes, devices, links by mail, the
-- outbox. The same tables, in the dialect of PostgreSQL, are in migrations/postgres; change
-- both. What is presented by a browser or a mail (cookies, links) is stored hashed only.

ALTER TABLE users ADD COLUMN deleted_at INTEGER;
-- Since when a recovery code was used to prove that they were kept; none before.
ALTER TABLE users ADD COLUMN recovery_confirmed_at INTEGER;

CREATE TABLE sessions (
    -- SHA-256 of the secret in the cookie.
    secret_hash BLOB NOT NULL,
    id TEXT NOT NULL,
    user_id TEXT NOT NULL REFERENCES users (id),
    created_at INTEGER NOT NULL,
    last_used_at INTEGER NOT NULL,
    -- The end that no use puts off.
    expires_at INTEGER NOT NULL,
    remote_address TEXT NOT NULL,
    user_agent TEXT NOT NULL,
    password_at INTEGER,
    factor TEXT,
    factor_at INTEGER,
    password_state TEXT NOT NULL,
    CONSTRAINT session_secret_taken PRIMARY KEY (secret_hash),
    CONSTRAINT session_id_taken UNIQUE (id)
) STRICT;
CREATE INDEX sessions_by_user ON sessions (user_id, created_at);
CREATE INDEX sessions_by_end ON sessions (expires_at);

-- Security keys and passkeys (WebAuthn).
CREATE TABLE security_keys (
    id TEXT NOT NULL,
    user_id TEXT NOT NULL REFERENCES users (id),
    name TEXT NOT NULL,
    folded_name TEXT NOT NULL,
    -- `security-key` or `passkey`.
    kind TEXT NOT NULL,
    credential_id BLOB NOT NULL,
    -- The public key with its counter, as JSON of the library that verifies it.
    credential TEXT NOT NULL,
    -- The authenticator's signature counter; 0 for those that do not count.
    counter INTEGER NOT NULL,
    added_at INTEGER NOT NULL,
    last_used_at INTEGER,
    CONSTRAINT key_id_taken PRIMARY KEY (id),
    CONSTRAINT key_credential_taken UNIQUE (credential_id),
    CONSTRAINT key_name_taken UNIQUE (user_id, folded_name)
) STRICT;

CREATE TABLE recovery_codes (
    user_id TEXT NOT NULL REFERENCES users (id),
    code_hash BLOB NOT NULL,
    generated_at INTEGER NOT NULL,
    used_at INTEGER,
    CONSTRAINT recovery_code_raced PRIMARY KEY (user_id, code_hash)
) STRICT;

-- What a server asked a browser and waits to hear: a challenge, a password that awaits its
-- second factor, a secret that awaits its first code. Taken once.
CREATE TABLE ceremonies (
    secret_hash BLOB NOT NULL,
    kind TEXT NOT NULL,
    user_id TEXT REFERENCES users (id),
    -- The session it belongs to (`sessions.id`); none for those before one.
    session_id TEXT,
    state TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    CONSTRAINT ceremony_taken PRIMARY KEY (secret_hash)
) STRICT;
CREATE INDEX ceremonies_by_user ON ceremonies (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX ceremonies_by_end ON ceremonies (expires_at);

-- Links that were mailed or printed. Followed once.
CREATE TABLE links (
    secret_hash BLOB NOT NULL,
    purpose TEXT NOT NULL,
    user_id TEXT REFERENCES users (id),
    data TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    CONSTRAINT link_taken PRIMARY KEY (secret_hash)
) STRICT;
CREATE INDEX links_by_user ON links (user_id, purpose) WHERE user_id IS NOT NULL;
CREATE INDEX links_by_end ON links (expires_at);

-- Browsers that a user has logged in from, by a cookie of their own.
CREATE TABLE devices (
    secret_hash BLOB NOT NULL,
    user_id TEXT NOT NULL REFERENCES users (id),
    first_seen_at INTEGER NOT NULL,
    last_seen_at INTEGER NOT NULL,
    confirmed_at INTEGER,
    remote_address TEXT NOT NULL,
    user_agent TEXT NOT NULL,
    CONSTRAINT device_raced PRIMARY KEY (user_id, secret_hash)
) STRICT;

-- Mails, written with the change they tell of and sent after it.
CREATE TABLE outbox (
    id TEXT NOT NULL,
    kind TEXT NOT NULL,
    user_id TEXT,
    recipient TEXT NOT NULL,
    -- JSON; none once the mail is sent or given up, since it may hold a link.
    fields TEXT,
    created_at INTEGER NOT NULL,
    due_at INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    -- Until when the server that took it may be sending it.
    leased_until INTEGER,
    -- `waiting`, `sent`, `failed`, or `void` for one that is never sent.
    state TEXT NOT NULL,
    ended_at INTEGER,
    last_error TEXT,
    CONSTRAINT mail_id_taken PRIMARY KEY (id)
) STRICT;
CREATE INDEX outbox_by_due ON outbox (due_at) WHERE state = 'waiting';
CREATE INDEX outbox_by_time ON outbox (created_at);
CREATE INDEX outbox_failed ON outbox (created_at) WHERE state = 'failed';

CREATE TABLE recoveries (
    id TEXT NOT NULL,
    user_id TEXT NOT NULL REFERENCES users (id),
    -- Name of the staff member, or of the system user on the command line.
    started_by TEXT NOT NULL,
    reason TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    effective_at INTEGER NOT NULL,
    ended_at INTEGER,
    -- `completed` or `cancelled`; none while it waits.
    outcome TEXT,
    CONSTRAINT recovery_id_taken PRIMARY KEY (id)
) STRICT;
CREATE UNIQUE INDEX recovery_running ON recoveries (user_id) WHERE ended_at IS NULL;
CREATE INDEX recoveries_by_due ON recoveries (effective_at) WHERE ended_at IS NULL;
