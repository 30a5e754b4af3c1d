-- Projects {from} to {to}, each with a release, a file, a decision and an audit event, as the
-- registry writes them; the same text for both databases. The counters of registry_state are
-- moved as so many commits would have moved them.
BEGIN;
DELETE FROM batch;
WITH RECURSIVE numbers (n) AS (SELECT {from} UNION ALL SELECT n + 1 FROM numbers WHERE n < {to})
INSERT INTO batch (n, tail, name)
    SELECT n, substr(CAST(1000000000000 + n AS TEXT), 2), one.word || '-' || two.word || '-x' || CAST(n AS TEXT)
    FROM numbers JOIN words AS one ON one.place = n % 24 JOIN words AS two ON two.place = (n / 24) % 24;
INSERT INTO projects (id, normalized, looks, written, status, created_at, published_at)
    SELECT '01890000-0000-7000-8001-' || tail, name, replace(replace(replace(replace(name, '-', ''), 'l', '1'), 'i', '1'), 'o', '0'), name, 'active',
        1700000000000 + n, 1700000000000 + n FROM batch;
INSERT INTO releases (id, project_id, version_key, version, state, metadata, created_at, published_at)
    SELECT '01890000-0000-7000-8002-' || tail, '01890000-0000-7000-8001-' || tail, '1', '1.0', 'published',
        '{"name":"' || name || '","version":"1.0","summary":"a sample of a project, one of many"}', 1700000000000 + n, 1700000000000 + n FROM batch;
INSERT INTO file_names (name, name_key)
    SELECT replace(name, '-', '_') || '-1.0-py3-none-any.whl', name || '-1.0-py3-none-any.whl' FROM batch;
INSERT INTO files (id, project_id, release_id, name, kind, size, md5, sha256, blake2_256, requires_python, python_version, uploaded_at, state, published_at)
    SELECT '01890000-0000-7000-8003-' || tail, '01890000-0000-7000-8001-' || tail, '01890000-0000-7000-8002-' || tail,
        replace(name, '-', '_') || '-1.0-py3-none-any.whl', 'bdist_wheel', 2000, CAST('sum-' || tail AS {bytes}),
        CAST('sha-256-of-a-sample-' || tail AS {bytes}), CAST('blake2b-of-a-sample-' || tail AS {bytes}), '>=3.9', 'py3',
        1700000000000 + n, 'published', 1700000000000 + n FROM batch;
INSERT INTO journal (serial, project_id, project_name, action, at)
    SELECT (SELECT serial FROM registry_state) + n - {from} + 1, '01890000-0000-7000-8001-' || tail, name, 'add file', 1700000000000 + n FROM batch;
INSERT INTO project_serials (project_id, serial, project_name)
    SELECT '01890000-0000-7000-8001-' || tail, (SELECT serial FROM registry_state) + n - {from} + 1, name FROM batch;
INSERT INTO decisions (id, at, action, outcome, set_number, project_name, route, remote_address, microseconds, record)
    SELECT '01890000-0000-7000-8004-' || tail, 1700000000000 + n, 'file:upload', CASE WHEN n % 50 = 0 THEN 'denied' ELSE 'permitted' END, 1, name,
        '/legacy/', '192.0.2.1', 12, '{"version":1,"filler":"' || substr('{filler}', 1, 400) || '"}' FROM batch;
INSERT INTO audit_events (at, kind, actor_kind, actor_remote_address, actor_user_agent, project_id, detail)
    SELECT 1700000000000 + n, 'file:uploaded', 'caller', '192.0.2.1', 'twine', '01890000-0000-7000-8001-' || tail, '{"file":"' || name || '"}' FROM batch;
UPDATE registry_state SET serial = serial + {to} - {from} + 1, list_serial = serial + {to} - {from} + 1, revision = revision + {to} - {from} + 1,
    projects = projects + {to} - {from} + 1;
COMMIT;
