use std::time::Duration;

use model::audit::EventKind;
use model::{
    CeremonyKind, KeyId, LinkPurpose, PasswordDisabled, RecoveryId, Role, SessionId, UserName,
};
use storage::ceremonies::NewCeremony;
use storage::keys::{KeyKind, NewKey};
use storage::links::NewLink;
use storage::recoveries::{NewRecovery, RecoveryOutcome};
use storage::sessions::NewSession;
use storage::users::NewUser;
use storage::{Conflict, Result, Storage};

use crate::fixture::{
    at, at_once, commit, conflict, event, grant, hash, on_both, project, try_token, user,
};

async fn delete(storage: &Storage, user: model::UserId) -> Result<bool> {
    commit(storage, async |unit| unit.delete_user(user, at(500)).await).await
}

#[tokio::test]
async fn of_a_deleted_account_the_name_is_left() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let ada = user(storage, "Ada").await;
        let name = UserName::parse("ada").unwrap();
        let project = project(storage, "sample").await;
        let other = user(storage, "bob").await;
        grant(storage, project, other, Role::Owner).await.unwrap();
        grant(storage, project, ada, Role::Owner).await.unwrap();
        let token = try_token(storage, ada, "ci").await.unwrap();
        let session = NewSession {
            secret: &hash(1),
            id: SessionId::new(),
            user: ada,
            created_at: at(100),
            expires_at: at(10_000),
            remote_address: "",
            user_agent: "",
            assurance: model::Assurance::NONE,
        };
        let key = NewKey {
            id: KeyId::new(),
            user: ada,
            name: "key",
            kind: KeyKind::Passkey,
            credential_id: b"credential",
            credential: "{}",
            counter: 0,
            added_at: at(10),
        };
        let link = NewLink {
            secret: &hash(2),
            purpose: LinkPurpose::PasswordReset,
            user: Some(ada),
            data: "",
            created_at: at(10),
            expires_at: at(10_000),
        };
        let recovery = NewRecovery {
            id: RecoveryId::new(),
            user: ada,
            started_by: "root",
            reason: "lost",
            started_at: at(10),
            effective_at: at(20),
        };
        commit(storage, async |unit| {
            unit.set_password_hash(ada, "hash", at(20)).await?;
            unit.set_totp(ada, "JBSWY3DPEHPK3PXP", Some(7), at(20))
                .await?;
            unit.set_staff(ada, true).await?;
            unit.add_email(ada, "ada@example.org", at(20)).await?;
            unit.verify_email(ada, "ada@example.org", at(21)).await?;
            unit.create_session(&session).await?;
            unit.add_key(&key).await?;
            unit.replace_recovery_codes(ada, &[hash(3)], at(20)).await?;
            unit.see_device(ada, &hash(4), at(20), "", "", true).await?;
            unit.create_link(&link).await?;
            unit.start_recovery(&recovery).await
        })
        .await
        .unwrap();
        let ceremony = NewCeremony {
            secret: &hash(5),
            kind: CeremonyKind::Login,
            user: Some(ada),
            session: None,
            state: "",
            created_at: at(10),
            expires_at: at(10_000),
        };
        storage.open_ceremony(&ceremony).await.unwrap();

        assert!(delete(storage, ada).await.unwrap());
        assert!(!delete(storage, ada).await.unwrap(), "once");

        let row = storage.user(ada).await.unwrap().unwrap();
        assert_eq!(
            (row.deleted_at, row.disabled_at, row.staff),
            (Some(at(500)), Some(at(500)), false)
        );
        assert!(
            row.password_hash.is_none()
                && row.password_set_at.is_none()
                && row.totp_secret.is_none()
                && row.totp_last_step.is_none()
        );
        assert!(
            !row.facts().factors.any()
                && !row.facts().email_verified
                && row.recovery_confirmed_at.is_none()
        );
        assert!(storage.user_by_name(&name).await.unwrap().is_none());
        assert!(storage.is_name_taken(&name).await.unwrap());
        assert!(
            storage
                .user_by_email("ada@example.org")
                .await
                .unwrap()
                .is_none()
        );
        assert_eq!(
            storage
                .users(None, 10)
                .await
                .unwrap()
                .iter()
                .map(|user| user.id)
                .collect::<Vec<_>>(),
            [other]
        );
        assert_eq!(storage.emails(ada).await.unwrap(), []);
        assert_eq!(
            (
                storage.projects_of(ada).await.unwrap(),
                storage.roles_on(project).await.unwrap().len()
            ),
            (vec![], 1)
        );
        assert_eq!(
            storage
                .token(token)
                .await
                .unwrap()
                .unwrap()
                .token
                .revoked_at,
            Some(at(500))
        );
        assert!(
            storage
                .session(&hash(1), at(0), at(200))
                .await
                .unwrap()
                .is_none()
        );
        assert_eq!(storage.sessions_of(ada, at(0), at(200)).await.unwrap(), []);
        assert!(
            storage
                .key_by_credential_id(b"credential")
                .await
                .unwrap()
                .is_none()
        );
        assert_eq!(storage.recovery_codes_of(ada).await.unwrap().total, 0);
        assert_eq!(storage.device(ada, &hash(4)).await.unwrap(), None);
        assert!(
            storage
                .link(&hash(2), LinkPurpose::PasswordReset, at(200))
                .await
                .unwrap()
                .is_none()
        );
        assert!(
            storage
                .ceremony(&hash(5), CeremonyKind::Login, at(200))
                .await
                .unwrap()
                .is_none()
        );
        assert_eq!(
            storage
                .recovery(recovery.id)
                .await
                .unwrap()
                .unwrap()
                .outcome,
            Some(RecoveryOutcome::Cancelled)
        );

        let again = NewUser {
            id: model::UserId::new(),
            name: &name,
            created_at: at(600),
            staff: false,
        };
        assert_eq!(
            conflict(commit(storage, async |unit| unit.create_user(&again).await).await),
            Conflict::UserNameTaken
        );
        let address_is_free = commit(storage, async |unit| {
            unit.add_email(other, "ada@example.org", at(600)).await
        })
        .await;
        assert!(address_is_free.is_ok());
    })
    .await;
}

#[tokio::test]
async fn nothing_is_given_to_a_deleted_user() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let ada = user(storage, "ada").await;
        let project = project(storage, "sample").await;
        delete(storage, ada).await.unwrap();
        assert!(
            !commit(storage, async |unit| unit.enable_user(ada).await)
                .await
                .unwrap(),
            "deleted is for good"
        );
        for work in [
            "password",
            "totp",
            "staff",
            "email",
            "codes",
            "disable-password",
        ] {
            let refused = commit(storage, async |unit| match work {
                "password" => unit.set_password_hash(ada, "hash", at(600)).await,
                "totp" => unit.set_totp(ada, "JBSWY3DPEHPK3PXP", None, at(600)).await,
                "staff" => unit.set_staff(ada, true).await,
                "email" => unit.add_email(ada, "ada@example.org", at(600)).await,
                "codes" => unit.replace_recovery_codes(ada, &[hash(1)], at(600)).await,
                _ => unit.disable_password(ada, PasswordDisabled::Policy).await,
            });
            assert_eq!(conflict(refused.await), Conflict::ReferenceGone, "{work}");
        }
        assert_eq!(
            conflict(try_token(storage, ada, "ci").await),
            Conflict::ReferenceGone
        );
        assert_eq!(
            conflict(grant(storage, project, ada, Role::Owner).await),
            Conflict::ReferenceGone
        );
        assert!(
            commit(storage, async |unit| unit.hold_user(ada).await)
                .await
                .unwrap()
                .is_none()
        );
    })
    .await;
}

#[tokio::test]
async fn the_only_owner_of_a_project_stays() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let (ada, bob) = (user(storage, "ada").await, user(storage, "bob").await);
        let (mine, shared, other) = (
            project(storage, "Mine").await,
            project(storage, "shared").await,
            project(storage, "another").await,
        );
        for (project, user, role) in [
            (mine, ada, Role::Owner),
            (mine, bob, Role::Maintainer),
            (shared, ada, Role::Owner),
            (shared, bob, Role::Owner),
            (other, ada, Role::Maintainer),
        ] {
            grant(storage, project, user, role).await.unwrap();
        }
        assert_eq!(storage.sole_owner_of(ada).await.unwrap(), ["mine"]);
        assert_eq!(conflict(delete(storage, ada).await), Conflict::SoleOwner);
        assert_eq!(
            storage.projects_of(ada).await.unwrap().len(),
            3,
            "nothing was written"
        );
        grant(storage, mine, bob, Role::Owner).await.unwrap();
        assert_eq!(
            storage.sole_owner_of(ada).await.unwrap(),
            Vec::<String>::new()
        );
        assert!(delete(storage, ada).await.unwrap());
        assert_eq!(
            storage.sole_owner_of(bob).await.unwrap(),
            ["mine", "shared"]
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_all_owners_who_leave_at_once_one_stays() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        for round in 0..8 {
            let (first, second) = (
                project(storage, &format!("first{round}")).await,
                project(storage, &format!("second{round}")).await,
            );
            let mut owners = Vec::new();
            for number in 0..3 {
                let owner = user(storage, &format!("owner{round}-{number}")).await;
                grant(storage, first, owner, Role::Owner).await.unwrap();
                grant(storage, second, owner, Role::Owner).await.unwrap();
                owners.push(owner);
            }
            let results = at_once(&fixture, 3, |storage, number| {
                let owner = owners[number];
                async move {
                    match number {
                        0 => commit(&storage, async |unit| unit.revoke_role(second, owner).await)
                            .await
                            .map(drop),
                        _ => delete(&storage, owner).await.map(drop),
                    }
                }
            })
            .await;
            assert!(
                results[0].is_ok()
                    || matches!(
                        results[0].as_ref().unwrap_err().conflict(),
                        Some(Conflict::LastOwner)
                    ),
                "{results:?}"
            );
            for project in [first, second] {
                let roles = storage.roles_on(project).await.unwrap();
                assert!(
                    roles.iter().any(|role| role.role == Role::Owner),
                    "{results:?}"
                );
                assert!(roles.iter().all(|role| owners.contains(&role.user)));
            }
            let refused = results[1..]
                .iter()
                .filter_map(|result| result.as_ref().err())
                .map(|error| error.conflict().unwrap())
                .collect::<Vec<_>>();
            assert!(
                refused
                    .iter()
                    .all(|conflict| *conflict == Conflict::SoleOwner),
                "{refused:?}"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn who_leaves_waits_for_another_owner_who_is_leaving() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let (ada, bob, shared) = (
            user(storage, "ada").await,
            user(storage, "bob").await,
            project(storage, "shared").await,
        );
        for owner in [ada, bob] {
            grant(storage, shared, owner, Role::Owner).await.unwrap();
        }
        let mut leaving = storage.begin().await.unwrap();
        assert!(leaving.delete_user(ada, at(500)).await.unwrap());
        let other = fixture.again().await;
        let mut second = tokio::spawn(async move { delete(&other, bob).await });
        assert!(
            tokio::time::timeout(Duration::from_millis(200), &mut second)
                .await
                .is_err(),
            "it did not wait"
        );
        leaving
            .commit(&event(EventKind::AccountDeleted))
            .await
            .unwrap();
        assert_eq!(conflict(second.await.unwrap()), Conflict::SoleOwner);
    })
    .await;
}

/// Given a role and deleted at once: a deleted user never has a role.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_role_is_left_to_a_deleted_user() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let bob = user(storage, "bob").await;
        for round in 0..12 {
            let project = project(storage, &format!("sample{round}")).await;
            grant(storage, project, bob, Role::Owner).await.unwrap();
            let ada = user(storage, &format!("ada{round}")).await;
            let results = at_once(&fixture, 2, |storage, number| async move {
                match number {
                    0 => grant(&storage, project, ada, Role::Owner).await.map(drop),
                    _ => delete(&storage, ada).await.map(drop),
                }
            })
            .await;
            for error in results.iter().filter_map(|result| result.as_ref().err()) {
                assert!(
                    matches!(
                        error.conflict(),
                        Some(Conflict::ReferenceGone | Conflict::Raced)
                    ),
                    "{error}"
                );
            }
            let deleted = storage
                .user(ada)
                .await
                .unwrap()
                .unwrap()
                .deleted_at
                .is_some();
            assert_eq!(
                (
                    deleted,
                    storage.role_of(ada, project).await.unwrap().is_none()
                ),
                (deleted, deleted)
            );
        }
    })
    .await;
}
