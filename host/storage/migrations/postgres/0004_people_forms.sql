-- People: addresses in one form, and mails in a bounded number. The same in the dialect of
-- SQLite is in migrations/sqlite; change both.

-- Addresses that may be in another form than they are stored in today: no database converts
-- domains, the program does (identity, accounts/conversion).
CREATE INDEX emails_beyond_ascii ON emails (folded_address) WHERE octet_length(folded_address) <> length(folded_address);

-- Which mails about changes went to an address at once of late; those beyond are gathered into one.
CREATE TABLE mail_rates (
    -- As `emails.folded_address`.
    recipient TEXT NOT NULL,
    -- Kind and time of each, `token-created@1767614400000`, a blank between two.
    sent TEXT NOT NULL,
    updated_at BIGINT NOT NULL,
    CONSTRAINT mail_rate_raced PRIMARY KEY (recipient)
);
CREATE INDEX mail_rates_by_time ON mail_rates (updated_at);

CREATE INDEX outbox_gathering ON outbox (recipient) WHERE kind = 'changes-gathered' AND state = 'waiting';
