//! From the tables of an earlier version to those of this one.

use std::borrow::Cow;
use std::path::Path;

use model::audit::{Actor, AuditEvent, Detail, EventKind};
use model::{DeviceKind, PasswordDisabled, Role, SessionId, Timestamp, UserName};
use sqlx::Connection;
use sqlx::migrate::Migrator;
use storage::Storage;
use storage::audit::AuditFilter;
use storage::sessions::NewSession;

use crate::fixture::{at, commit, hash};
use crate::postgres;

/// The steps up to and including this one, read from the folder that the code's list names.
async fn until(version: i64, folder: &str) -> Migrator {
    let all = Migrator::new(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("migrations")
            .join(folder),
    )
    .await
    .unwrap();
    let steps = all
        .iter()
        .filter(|step| step.version <= version)
        .cloned()
        .collect::<Vec<_>>();
    assert!(!steps.is_empty());
    Migrator {
        migrations: Cow::Owned(steps),
        ..Migrator::DEFAULT
    }
}

/// A registry in use, as the first version wrote it.
const SQLITE_DATA: &str = "
    INSERT INTO users (id, folded_name, name, created_at, staff, password_hash, password_set_at, totp_secret, totp_enrolled_at, totp_last_step)
        VALUES ('01890000-0000-7000-8000-000000000001', 'ada', 'Ada', 1000, TRUE, '$argon2id$one', 2000, 'JBSWY3DPEHPK3PXP', 3000, 7);
    INSERT INTO users (id, folded_name, name, created_at, staff, disabled_at, disabled_reason)
        VALUES ('01890000-0000-7000-8000-000000000002', 'bob', 'bob', 1000, FALSE, 5000, 'left');
    INSERT INTO emails (folded_address, address, user_id, added_at, verified_at, is_primary)
        VALUES ('ada@example.org', 'Ada@example.org', '01890000-0000-7000-8000-000000000001', 1000, 2000, TRUE);
    INSERT INTO emails (folded_address, address, user_id, added_at, verified_at, is_primary)
        VALUES ('bob@exämple.org', 'Bob@exämple.org', '01890000-0000-7000-8000-000000000002', 1000, 2000, TRUE);
    INSERT INTO tokens (id, user_id, description, key, stored_caveats, created_at, made_with_second_factor)
        VALUES ('01890000-0000-7000-8000-000000000003', '01890000-0000-7000-8000-000000000001', 'ci',
        x'0707070707070707070707070707070707070707070707070707070707070707', '[]', 4000, TRUE);
    INSERT INTO projects (id, normalized, looks, written, status, created_at)
        VALUES ('01890000-0000-7000-8000-000000000004', 'sample', 'samp1e', 'Sample', 'active', 4000);
    INSERT INTO project_roles (project_id, user_id, role, granted_at)
        VALUES ('01890000-0000-7000-8000-000000000004', '01890000-0000-7000-8000-000000000001', 'owner', 4000);
    INSERT INTO file_names (name, name_key, burned_at)
        VALUES ('.dotty-2.0-py3-none-any.whl', 'dotty/2.0', 1), ('x_-2.0-py3-none-any.whl', 'x/2.0', 1), ('_y-2.0-1-py3-none-any.whl', 'y/2.0', 1),
        ('a_b-2.0-py3-none-any.whl', 'a-b/2.0', 1), ('a.c-2.0-1.-py3-none-any.whl', 'a-c/2.0', 1), ('d-2.0.tar.gz', 'd/2.0', 1);
    INSERT INTO audit_events (at, kind, actor_kind, user_id, detail)
        VALUES (1000, 'account:created', 'system', '01890000-0000-7000-8000-000000000001', '{}');
    UPDATE registry_state SET revision = 12, serial = 3;";

const ADA: &str = "01890000-0000-7000-8000-000000000001";
const BOB: &str = "01890000-0000-7000-8000-000000000002";
const TOKEN: &str = "01890000-0000-7000-8000-000000000003";

/// The registry of [`SQLITE_DATA`] in both databases, not yet migrated.
async fn on_both(test: impl AsyncFn(Storage)) {
    on_both_from(1, SQLITE_DATA, test).await;
}

/// The same, as a later version wrote it.
async fn on_both_from(version: i64, data: &str, test: impl AsyncFn(Storage)) {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}/registry.db", folder.path().display());
    let storage = Storage::connect(&url).await.unwrap();
    let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
    until(version, "sqlite")
        .await
        .run(&mut connection)
        .await
        .unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(data.to_owned()))
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
    test(storage).await;
    if let Some(database) = tokio::task::spawn_blocking(postgres::new_database)
        .await
        .unwrap()
    {
        let mut connection = sqlx::PgConnection::connect(&database.url).await.unwrap();
        until(version, "postgres")
            .await
            .run(&mut connection)
            .await
            .unwrap();
        // The only difference in PostgreSQL's syntax.
        let data = sqlx::AssertSqlSafe(data.replace("x'07", "'\\x07"));
        sqlx::raw_sql(data).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        test(Storage::connect(&database.url).await.unwrap()).await;
    }
}

#[tokio::test]
async fn a_registry_in_use_keeps_everything_and_its_people_can_log_in() {
    on_both(async |storage| {
        assert!(
            storage.user(ADA.parse().unwrap()).await.is_err(),
            "it waits for the migration"
        );
        storage.migrate().await.unwrap();
        storage.migrate().await.unwrap();
        let ada = storage
            .user_by_name(&UserName::parse("ada").unwrap())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            (
                ada.id.to_string().as_str(),
                ada.name.as_written(),
                ada.staff,
                ada.email_verified
            ),
            (ADA, "Ada", true, true)
        );
        assert_eq!(
            (
                ada.password_hash.as_ref().unwrap().expose().as_str(),
                ada.totp_last_step
            ),
            ("$argon2id$one", Some(7))
        );
        assert_eq!(
            (
                ada.deleted_at,
                ada.recovery_confirmed_at,
                ada.webauthn_enrolled
            ),
            (None, None, false)
        );
        assert!(
            !storage.accept_totp_step(ada.id, 7).await.unwrap()
                && storage.accept_totp_step(ada.id, 8).await.unwrap()
        );
        assert_eq!(
            storage
                .user_by_email("ada@EXAMPLE.org")
                .await
                .unwrap()
                .unwrap()
                .id,
            ada.id
        );
        assert_eq!(
            storage
                .user(BOB.parse().unwrap())
                .await
                .unwrap()
                .unwrap()
                .disabled_reason
                .as_deref(),
            Some("left")
        );
        assert_eq!(
            storage.tokens_of(ada.id).await.unwrap()[0].key.expose(),
            &[7; 32]
        );
        let projects = storage.projects_of(ada.id).await.unwrap();
        assert_eq!(
            projects
                .iter()
                .map(|(project, role)| (project.name.as_written(), *role))
                .collect::<Vec<_>>(),
            [("Sample", Role::Owner)]
        );
        assert_eq!(
            storage
                .events(&Default::default(), None, 10)
                .await
                .unwrap()
                .len(),
            1
        );
        let session = NewSession {
            secret: &hash(1),
            id: SessionId::new(),
            user: ada.id,
            created_at: at(100),
            expires_at: at(1000),
            remote_address: "",
            user_agent: "",
            assurance: model::Assurance::NONE,
        };
        commit(&storage, async |unit| unit.create_session(&session).await)
            .await
            .unwrap();
        assert!(
            storage
                .session(&hash(1), at(0), at(200))
                .await
                .unwrap()
                .is_some()
        );
        // Non-ASCII addresses are found, for the program to convert.
        let beyond = storage.emails_beyond_ascii("", 10).await.unwrap();
        assert_eq!(
            beyond
                .iter()
                .map(|email| (email.user.to_string(), email.address.as_str()))
                .collect::<Vec<_>>(),
            [(BOB.to_owned(), "Bob@exämple.org")]
        );
        assert!(
            storage
                .emails_beyond_ascii("bob@exämple.org", 10)
                .await
                .unwrap()
                .is_empty()
        );
        commit(&storage, async |unit| {
            unit.rewrite_email(beyond[0].user, "BOB@exämple.org", "Bob@xn--exmple-cua.org")
                .await
        })
        .await
        .unwrap();
        assert_eq!(
            storage
                .email("bob@xn--exmple-cua.ORG")
                .await
                .unwrap()
                .unwrap()
                .verified_at,
            Some(model::Timestamp(2000))
        );
        assert!(
            storage
                .emails_beyond_ascii("", 10)
                .await
                .unwrap()
                .is_empty()
        );
    })
    .await;
}

#[tokio::test]
async fn a_malformed_wheel_of_before_no_longer_blocks_the_right_name() {
    on_both(async |storage| {
        storage.migrate().await.unwrap();
        for (key, is_taken) in [
            ("dotty/2.0", false),
            ("x/2.0", false),
            ("y/2.0", false),
            ("a-b/2.0", true),
            ("a-c/2.0", true),
            ("d/2.0", true),
        ] {
            assert_eq!(storage.is_burned(key).await.unwrap(), is_taken, "{key}");
        }
        for name in [
            ".dotty-2.0-py3-none-any.whl",
            "x_-2.0-py3-none-any.whl",
            "_y-2.0-1-py3-none-any.whl",
        ] {
            assert!(
                storage
                    .is_burned(&format!("malformed/{name}"))
                    .await
                    .unwrap(),
                "{name}: its own name stays taken"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn a_browser_that_was_known_stays_a_known_browser() {
    let data = format!(
        "{SQLITE_DATA} INSERT INTO devices (secret_hash, user_id, first_seen_at, last_seen_at, confirmed_at, remote_address, user_agent)
        VALUES (x'{}', '{ADA}', 10, 20, 10, '192.0.2.1', 'Firefox');",
        "07".repeat(32)
    );
    on_both_from(2, &data, async |storage| {
        storage.migrate().await.unwrap();
        let devices = storage.known_devices(ADA.parse().unwrap()).await.unwrap();
        assert_eq!(
            devices
                .iter()
                .map(|device| (device.secret, device.kind, device.last_seen_at))
                .collect::<Vec<_>>(),
            [([7; 32], DeviceKind::Browser, Timestamp(20))]
        );
    })
    .await;
}

#[tokio::test]
async fn projects_in_quarantine_are_no_longer_counted() {
    let data = "
        INSERT INTO projects (id, normalized, looks, written, status, created_at, published_at) VALUES
            ('01890000-0000-7000-8000-000000000004', 'seen', 'seen', 'seen', 'active', 4000, 4000),
            ('01890000-0000-7000-8000-000000000005', 'hidden', 'hidden', 'hidden', 'quarantined', 4000, 4000),
            ('01890000-0000-7000-8000-000000000006', 'staged', 'staged', 'staged', 'active', 4000, NULL);
        UPDATE registry_state SET projects = 2;";
    on_both_from(7, data, async |storage| {
        storage.migrate().await.unwrap();
        assert_eq!(storage.count_projects().await.unwrap(), 1);
    })
    .await;
}

/// Promotions of the primary address as version 8 logged them, newest last.
#[tokio::test]
async fn an_address_that_stood_still_stands() {
    const DAY: i64 = 24 * 3600 * 1000;
    let mut data = String::new();
    let mut user = |number: u8, disabled: &str| {
        let id = format!("01890000-0000-7000-8000-0000000000{number:02}");
        data.push_str(&format!(
            "INSERT INTO users (id, folded_name, name, created_at, staff, password_hash, password_set_at, password_disabled)
             VALUES ('{id}', 'user{number}', 'user{number}', 0, FALSE, 'x', 0, {disabled});"
        ));
        id
    };
    let ids: Vec<_> = (10..18)
        .map(|number| {
            user(
                number,
                if number == 17 {
                    "'secured by its owner'"
                } else {
                    "NULL"
                },
            )
        })
        .collect();
    let mut event = |user: &str, at: i64, kind: &str, actor: &str, detail: &str| {
        data.push_str(&format!(
            "INSERT INTO audit_events (at, kind, actor_kind, actor_user_id, actor_remote_address, actor_user_agent, user_id, detail)
             VALUES ({at}, '{kind}', '{actor}', '{user}', '192.0.2.1', '', '{user}', '{detail}');"
        ));
    };
    let promoted = "account:email:promoted";
    let before =
        |address: &str| format!(r#"{{"address": "x@example.net", "before": "{address}"}}"#);
    // Taken over by a session.
    event(&ids[0], DAY, promoted, "caller", &before("a@example.org"));
    // Twice within a week: what stood before the first.
    event(&ids[1], DAY, promoted, "caller", &before("b@example.org"));
    event(
        &ids[1],
        3 * DAY,
        promoted,
        "caller",
        &before("thief@example.net"),
    );
    // By an operator, and by the mailed link: both stand at once.
    event(&ids[2], DAY, promoted, "caller", &before("c@example.org"));
    event(
        &ids[2],
        2 * DAY,
        promoted,
        "command-line",
        &before("x@example.net"),
    );
    event(&ids[3], DAY, promoted, "caller", &before("d@example.org"));
    event(
        &ids[3],
        2 * DAY,
        promoted,
        "caller",
        r#"{"address": "d@example.org", "put-back-by-link": true}"#,
    );
    // Nobody proved to have the one from before.
    event(
        &ids[4],
        DAY,
        promoted,
        "caller",
        r#"{"address": "x@example.net", "before": null}"#,
    );
    // The one from before stood for a week itself.
    event(&ids[5], DAY, promoted, "caller", &before("old@example.org"));
    event(
        &ids[5],
        8 * DAY,
        promoted,
        "caller",
        &before("f@example.org"),
    );
    // An operator's stands, and a session's after it does not.
    event(
        &ids[6],
        DAY,
        promoted,
        "command-line",
        &before("old@example.org"),
    );
    event(
        &ids[6],
        2 * DAY,
        promoted,
        "caller",
        &before("g@example.org"),
    );
    // Secured twice.
    event(&ids[7], DAY, promoted, "caller", &before("h@example.org"));
    event(&ids[7], 2 * DAY, "account:secured", "caller", "{}");
    event(&ids[7], 3 * DAY, "account:secured", "caller", "{}");
    on_both_from(8, &data, async |storage| {
        storage.migrate().await.unwrap();
        let mut stands = Vec::new();
        for id in &ids {
            let user = storage.user(id.parse().unwrap()).await.unwrap().unwrap();
            let before = user
                .email_before
                .map(|before| (before.address, before.until.0 / DAY));
            stands.push((before, user.secured_at.map(|at| at.0 / DAY)));
            assert_eq!(
                user.password_disabled,
                (user.secured_at.is_some()).then_some(PasswordDisabled::Secured)
            );
        }
        let instead = |address: &str, until| Some((address.to_owned(), until));
        assert_eq!(
            stands,
            [
                (instead("a@example.org", 8), None),
                (instead("b@example.org", 10), None),
                (None, None),
                (None, None),
                (None, None),
                (instead("f@example.org", 15), None),
                (instead("g@example.org", 9), None),
                (instead("h@example.org", 8), Some(3)),
            ]
        );
    })
    .await;
}

#[tokio::test]
async fn whoever_caused_an_event_stays_who_did_and_a_publisher_may_be_one() {
    let data = format!(
        "INSERT INTO audit_events (at, kind, actor_kind, actor_user_id, actor_token_id, actor_remote_address, actor_user_agent, actor_system_user, detail) VALUES
            (1000, 'file:uploaded', 'caller', '{ADA}', '{TOKEN}', '192.0.2.1', 'twine', NULL, '{{\"file\":\"sample-1.0.tar.gz\"}}'),
            (2000, 'account:enabled', 'command-line', NULL, NULL, NULL, NULL, 'root', '{{}}'),
            (3000, 'storage:orphans:swept', 'system', NULL, NULL, NULL, NULL, NULL, '{{\"blobs\":2,\"of-tomorrow\":1}}');"
    );
    on_both_from(9, &data, async |storage| {
        storage.migrate().await.unwrap();
        let publisher = Actor::Publisher {
            publisher: ADA.parse::<model::UserId>().unwrap().0,
            provider: "github".into(),
            subject: "repository=ana/sample".into(),
            token: None,
            remote_address: "192.0.2.1".into(),
            user_agent: "twine".into(),
        };
        let file_uploaded = |actor| {
            let stored = serde_json::json!({ "file": "sample-1.0.tar.gz" });
            let detail = Detail::read(EventKind::FileUploaded, &stored);
            AuditEvent::new(Timestamp(1000), actor, detail)
        };
        let published = file_uploaded(publisher);
        storage.record_event(&published).await.unwrap();
        let rows = storage
            .events(&AuditFilter::default(), None, 9)
            .await
            .unwrap();
        let swept = Detail::OrphansSwept {
            blobs: 2,
            incoming: 0,
            bytes: 0,
        };
        let root = Actor::CommandLine {
            system_user: "root".into(),
        };
        let uploaded = file_uploaded(Actor::Caller {
            user: Some(ADA.parse().unwrap()),
            token: Some(TOKEN.parse().unwrap()),
            remote_address: "192.0.2.1".into(),
            user_agent: "twine".into(),
        });
        assert_eq!(
            rows.iter().map(|row| &row.event).collect::<Vec<_>>(),
            [
                &published,
                &AuditEvent::of_server(Timestamp(3000), swept),
                &AuditEvent::new(Timestamp(2000), root, Detail::AccountEnabled),
                &uploaded,
            ]
        );
        assert_eq!(
            rows[1].stored,
            serde_json::json!({ "blobs": 2, "of-tomorrow": 1 }),
            "what this version knows nothing of is shown all the same"
        );
    })
    .await;
}
