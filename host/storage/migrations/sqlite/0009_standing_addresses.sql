-- Which address an account is given back through, and since when it is secured: read back from
-- the audit log before. The same in the dialect of PostgreSQL is in migrations/postgres; change both.

-- The verified address that stands in for a primary one that a session chose, and until when.
ALTER TABLE users ADD COLUMN email_before TEXT;
ALTER TABLE users ADD COLUMN email_before_until INTEGER;
-- When its owner secured the account, while the password is disabled for that.
ALTER TABLE users ADD COLUMN secured_at INTEGER;

-- From the newest promotion back to the first one that stands: one by an operator or by a mailed
-- link, one that was followed by seven days without another, or one of which the address from
-- before was not verified.
WITH RECURSIVE promotions AS (
    SELECT user_id, at, json_extract(detail, '$.before') AS before, actor_kind <> 'caller' OR COALESCE(json_extract(detail, '$."put-back-by-link"'), 0) = 1 AS stands,
        ROW_NUMBER() OVER (PARTITION BY user_id ORDER BY sequence DESC) AS place
    FROM audit_events WHERE kind = 'account:email:promoted' AND user_id IS NOT NULL
), walk (user_id, place, before, at) AS (
    SELECT user_id, place, before, at FROM promotions WHERE place = 1 AND NOT stands AND before IS NOT NULL
    UNION ALL
    SELECT earlier.user_id, earlier.place, earlier.before, earlier.at
    FROM walk JOIN promotions AS earlier ON earlier.user_id = walk.user_id AND earlier.place = walk.place + 1
    WHERE NOT earlier.stands AND walk.at - earlier.at < 604800000 AND earlier.before IS NOT NULL
)
UPDATE users SET
    email_before = (SELECT before FROM walk WHERE walk.user_id = users.id ORDER BY place DESC LIMIT 1),
    email_before_until = (SELECT at + 604800000 FROM walk WHERE walk.user_id = users.id AND place = 1)
WHERE deleted_at IS NULL AND id IN (SELECT user_id FROM walk);

UPDATE users SET secured_at = (SELECT at FROM audit_events
    WHERE kind = 'account:secured' AND audit_events.user_id = users.id ORDER BY sequence DESC LIMIT 1)
WHERE password_disabled = 'secured by its owner';
