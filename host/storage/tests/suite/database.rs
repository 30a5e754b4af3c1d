//! The databases themselves: tables, statements, units of work.

use model::UserName;
use model::audit::EventKind;
use storage::audit::AuditFilter;
use storage::users::NewUser;
use storage::{Conflict, DatabaseKind, Storage, StorageError};

use crate::fixture::{at, conflict, event, on_both, user};
use crate::postgres;

#[tokio::test]
async fn every_statement_is_prepared_on_both_databases() {
    on_both(async |fixture| {
        assert!(fixture.storage.prepare_every_statement().await.unwrap() > 150);
    })
    .await;
}

#[test]
fn sql_is_written_nowhere_but_in_the_statements_macro() {
    let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![source.clone()];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            files += 1;
            let text = std::fs::read_to_string(&path).unwrap();
            let name = path.strip_prefix(&source).unwrap().to_str().unwrap();
            assert!(
                !text.contains("written_by_the_macro") || name == "statement.rs",
                "{name} makes a statement by hand"
            );
            assert!(
                !text.contains("AssertSqlSafe"),
                "{name} builds SQL at run time"
            );
            assert!(
                !text.contains("sqlx")
                    || ["database.rs", "error.rs", "lib.rs"].contains(&name)
                    || name.starts_with("database/"),
                "{name} names sqlx"
            );
            let noun = name.trim_end_matches(".rs");
            let declares = text.lines().any(|line| line.starts_with("statements! {"));
            let listed = std::fs::read_to_string(source.join("every_statement.rs"))
                .unwrap()
                .contains(&format!("crate::{noun}::STATEMENTS"));
            assert_eq!(
                declares, listed,
                "{name} and the list in every_statement.rs disagree"
            );
        }
    }
    assert!(files > 25);
}

#[tokio::test]
async fn several_servers_may_start_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut urls = vec![format!("sqlite:{}/registry.db", folder.path().display())];
    let database = tokio::task::spawn_blocking(postgres::new_database)
        .await
        .unwrap();
    urls.extend(database.iter().map(|database| database.url.clone()));
    for url in urls {
        let starts = (0..4).map(|_| {
            let url = url.clone();
            tokio::spawn(async move {
                let storage = Storage::connect(&url).await?;
                storage.migrate().await?;
                storage.migrate().await?;
                storage.ping().await
            })
        });
        for start in starts.collect::<Vec<_>>() {
            start.await.unwrap().unwrap();
        }
    }
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_left_alone() {
    on_both(async |fixture| {
        fixture
            .by_hand("UPDATE _sqlx_migrations SET version = 9000 WHERE version = 1")
            .await
            .unwrap();
        let error = fixture.storage.migrate().await.unwrap_err();
        assert!(
            error.to_string().contains("newer version of Portcullis"),
            "{error}"
        );
    })
    .await;
}

#[tokio::test]
async fn what_somebody_else_wrote_is_reported_and_not_shown() {
    on_both(async |fixture| {
        let ada = user(&fixture.storage, "ada").await;
        fixture.by_hand("UPDATE users SET name = 'not a name!'").await.unwrap();
        let error = fixture.storage.user(ada).await.unwrap_err();
        assert!(matches!(&error, StorageError::Corrupt(message) if message.contains("user_name") && !message.contains('!')), "{error}");
    })
    .await;
}

#[tokio::test]
async fn the_sqlite_file_is_readable_by_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    on_both(async |fixture| {
        if fixture.storage.kind() == DatabaseKind::Sqlite {
            user(&fixture.storage, "ada").await;
            let path = fixture.url.strip_prefix("sqlite:").unwrap();
            for suffix in ["", "-wal", "-shm", "-migrate"] {
                let mode = std::fs::metadata(format!("{path}{suffix}"))
                    .unwrap()
                    .permissions()
                    .mode();
                assert_eq!(mode & 0o777, 0o600, "{suffix}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_url_is_never_part_of_an_error() {
    for url in [
        "mysql://u:hunter2@localhost/x",
        "postgres://u:hunter2@localhost/x?host=/nonexistent",
        "postgres://u:hunter2@[bad",
        "sqlite::memory:",
        "sqlite:",
    ] {
        let error = Storage::connect(url).await.unwrap_err();
        assert!(matches!(error, StorageError::Unavailable(_)), "{error:?}");
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    }
}

#[tokio::test]
async fn a_unit_that_is_dropped_changes_nothing() {
    on_both(async |fixture| {
        let name = UserName::parse("ada").unwrap();
        let mut unit = fixture.storage.begin().await.unwrap();
        unit.create_user(&NewUser {
            id: model::UserId::new(),
            name: &name,
            created_at: at(1),
            staff: false,
        })
        .await
        .unwrap();
        unit.also(&event(EventKind::AccountCreated));
        drop(unit);
        assert_eq!(fixture.storage.user_count().await.unwrap(), 0);
        assert_eq!(
            fixture
                .storage
                .events(&AuditFilter::default(), None, 10)
                .await
                .unwrap(),
            []
        );
    })
    .await;
}

#[tokio::test]
async fn a_unit_that_failed_cannot_be_committed() {
    on_both(async |fixture| {
        user(&fixture.storage, "ada").await;
        let (ada, bob) = (
            UserName::parse("Ada").unwrap(),
            UserName::parse("bob").unwrap(),
        );
        let new = |name| NewUser {
            id: model::UserId::new(),
            name,
            created_at: at(1),
            staff: false,
        };
        let mut unit = fixture.storage.begin().await.unwrap();
        unit.create_user(&new(&bob)).await.unwrap();
        assert_eq!(
            conflict(unit.create_user(&new(&ada)).await),
            Conflict::UserNameTaken
        );
        assert_eq!(
            conflict(unit.set_staff(model::UserId::new(), true).await),
            Conflict::UserNameTaken,
            "it stays failed"
        );
        assert_eq!(
            conflict(unit.commit(&event(EventKind::AccountCreated)).await),
            Conflict::UserNameTaken
        );
        assert_eq!(fixture.storage.user_count().await.unwrap(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_text_with_a_nul_finds_nothing_and_is_refused_when_written() {
    on_both(async |fixture| {
        assert_eq!(fixture.storage.project("a\0b").await.unwrap(), None);
        assert_eq!(fixture.storage.file("a\0b").await.unwrap(), None);
        let ada = user(&fixture.storage, "ada").await;
        let mut unit = fixture.storage.begin().await.unwrap();
        assert_eq!(
            conflict(unit.add_email(ada, "a\0@example.org", at(1)).await),
            Conflict::TextRefused
        );
    })
    .await;
}

#[tokio::test]
async fn after_close_everything_is_unavailable() {
    on_both(async |fixture| {
        fixture.storage.close().await;
        assert!(matches!(
            fixture.storage.ping().await,
            Err(StorageError::Unavailable(_))
        ));
        assert!(matches!(
            fixture.storage.begin().await,
            Err(StorageError::Unavailable(_))
        ));
    })
    .await;
}
