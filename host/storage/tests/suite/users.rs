use model::PasswordDisabled;
use model::audit::EventKind;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use storage::Conflict;
use storage::Storage;
use storage::users::NewUser;

use crate::fixture::{at, at_once, commit, conflict, event, on_both, user};

const SECRET: &str = "JBSWY3DPEHPK3PXP";

async fn enroll(storage: &Storage, user: model::UserId, secret: Option<&str>) {
    let work = async |unit: &mut storage::UnitOfWork| match secret {
        Some(secret) => unit.set_totp(user, secret, None, at(50)).await,
        None => unit.remove_totp(user, false).await.map(drop),
    };
    commit(storage, work).await.unwrap();
}

#[tokio::test]
async fn a_name_is_taken_whatever_its_case() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let id = user(storage, "Ada").await;
        let name = model::UserName::parse("aDA").unwrap();
        let found = storage.user_by_name(&name).await.unwrap().unwrap();
        assert_eq!((found.id, found.name.as_written()), (id, "Ada"));
        let again = storage::users::NewUser {
            id: model::UserId::new(),
            name: &name,
            created_at: at(1),
            staff: false,
        };
        assert_eq!(
            conflict(storage.begin().await.unwrap().create_user(&again).await),
            Conflict::UserNameTaken
        );
    })
    .await;
}

#[tokio::test]
async fn users_are_listed_in_pages_in_order_of_their_names() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        for name in ["cleo", "Ada", "b-ob", "b.ob"] {
            user(storage, name).await;
        }
        let names = async |after| {
            storage
                .users(after, 2)
                .await
                .unwrap()
                .iter()
                .map(|user| user.name.as_written().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(names(None).await, ["Ada", "b-ob"]);
        assert_eq!(names(Some("b-ob")).await, ["b.ob", "cleo"]);
        assert_eq!(names(Some("cleo")).await, Vec::<String>::new());
        assert_eq!(storage.user_count().await.unwrap(), 4);
    })
    .await;
}

#[tokio::test]
async fn a_disabled_password_is_enabled_by_the_next_one() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let ada = user(storage, "ada").await;
        let row = async || storage.user(ada).await.unwrap().unwrap();
        assert!(row().await.password_hash.is_none());
        commit(storage, async |unit| {
            unit.set_password_hash(ada, "$argon2id$one", at(20)).await
        })
        .await
        .unwrap();
        commit(storage, async |unit| {
            unit.disable_password(ada, PasswordDisabled::Policy).await
        })
        .await
        .unwrap();
        assert_eq!(
            row().await.password_disabled,
            Some(PasswordDisabled::Policy)
        );
        assert_eq!(row().await.password_set_at, Some(at(20)));
        commit(storage, async |unit| {
            unit.set_password_hash(ada, "$argon2id$two", at(30)).await
        })
        .await
        .unwrap();
        let after = row().await;
        assert_eq!(
            (after.password_disabled, after.password_set_at),
            (None, Some(at(30)))
        );
        assert_eq!(after.password_hash.unwrap().expose(), "$argon2id$two");
    })
    .await;
}

#[tokio::test]
async fn a_user_is_disabled_once_and_enabled_once_and_keeps_all_else() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let (ada, bob) = (user(storage, "ada").await, user(storage, "bob").await);
        let standing = async |user| {
            let row = storage.user(user).await.unwrap().unwrap();
            (row.disabled_at, row.disabled_reason)
        };
        commit(storage, async |unit| {
            unit.set_password_hash(ada, "$argon2id$one", at(20)).await
        })
        .await
        .unwrap();
        assert!(
            commit(storage, async |unit| unit
                .disable_user(ada, "left", at(30))
                .await)
            .await
            .unwrap()
        );
        assert!(
            !commit(storage, async |unit| unit
                .disable_user(ada, "again", at(40))
                .await)
            .await
            .unwrap()
        );
        assert_eq!(
            standing(ada).await,
            (Some(at(30)), Some("left".to_owned())),
            "the first reason stays"
        );
        assert_eq!(standing(bob).await, (None, None));
        assert!(
            !commit(storage, async |unit| unit.enable_user(bob).await)
                .await
                .unwrap()
        );
        assert!(
            commit(storage, async |unit| unit.enable_user(ada).await)
                .await
                .unwrap()
        );
        assert_eq!(standing(ada).await, (None, None));
        assert!(
            storage
                .user(ada)
                .await
                .unwrap()
                .unwrap()
                .password_hash
                .is_some()
        );
        assert!(
            !commit(storage, async |unit| unit
                .disable_user(model::UserId::new(), "nobody", at(50))
                .await)
            .await
            .unwrap()
        );
    })
    .await;
}

#[tokio::test]
async fn a_token_is_found_with_the_standing_of_its_user() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let ada = user(storage, "ada").await;
        let token = crate::fixture::try_token(storage, ada, "ci").await.unwrap();
        assert_eq!(
            storage
                .token(token)
                .await
                .unwrap()
                .unwrap()
                .user
                .disabled_at,
            None
        );
        commit(storage, async |unit| {
            unit.disable_user(ada, "left", at(30)).await
        })
        .await
        .unwrap();
        assert_eq!(
            storage
                .token(token)
                .await
                .unwrap()
                .unwrap()
                .user
                .disabled_at,
            Some(at(30))
        );
    })
    .await;
}

#[tokio::test]
async fn a_password_that_changed_meanwhile_is_not_hashed_back() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let ada = user(storage, "ada").await;
        commit(storage, async |unit| {
            unit.set_password_hash(ada, "new", at(20)).await
        })
        .await
        .unwrap();
        assert!(
            !commit(storage, async |unit| unit
                .rehash_password(ada, "old", "old, stronger")
                .await)
            .await
            .unwrap()
        );
        assert!(
            commit(storage, async |unit| unit
                .rehash_password(ada, "new", "new, stronger")
                .await)
            .await
            .unwrap()
        );
        assert_eq!(
            storage
                .user(ada)
                .await
                .unwrap()
                .unwrap()
                .password_hash
                .unwrap()
                .expose(),
            "new, stronger"
        );
    })
    .await;
}

#[tokio::test]
async fn no_secret_is_in_what_debug_shows() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let ada = user(storage, "ada").await;
        enroll(storage, ada, Some(SECRET)).await;
        commit(storage, async |unit| {
            unit.set_password_hash(ada, "$argon2id$one", at(20)).await
        })
        .await
        .unwrap();
        let shown = format!("{:?}", storage.user(ada).await.unwrap().unwrap());
        assert!(
            !shown.contains(SECRET) && !shown.contains("argon2"),
            "{shown}"
        );
    })
    .await;
}

#[tokio::test]
async fn facts_tell_of_totp_and_of_the_verified_primary_address() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let ada = user(storage, "ada").await;
        let facts = async || storage.user(ada).await.unwrap().unwrap().facts();
        assert!(
            !facts().await.factors.totp && !facts().await.email_verified && !facts().await.staff
        );
        enroll(storage, ada, Some(SECRET)).await;
        commit(storage, async |unit| {
            unit.add_email(ada, "Ada@Example.org", at(1)).await?;
            unit.add_email(ada, "second@example.org", at(2)).await?;
            unit.set_staff(ada, true).await?;
            unit.verify_email(ada, "second@example.org", at(3)).await
        })
        .await
        .unwrap();
        assert!(!facts().await.email_verified, "the primary one is not");
        assert!(
            commit(storage, async |unit| unit
                .promote_email(ada, "SECOND@example.org")
                .await)
            .await
            .unwrap()
        );
        assert!(facts().await.factors.totp && facts().await.email_verified && facts().await.staff);
        let emails = storage.emails(ada).await.unwrap();
        assert_eq!(
            emails
                .iter()
                .map(|email| (email.address.as_str(), email.primary))
                .collect::<Vec<_>>(),
            [("second@example.org", true), ("Ada@Example.org", false)]
        );
    })
    .await;
}

#[tokio::test]
async fn an_address_belongs_to_one_user_and_only_that_user_changes_it() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let (ada, bob) = (user(storage, "ada").await, user(storage, "bob").await);
        commit(storage, async |unit| {
            unit.add_email(ada, "Ada@Example.org", at(1)).await
        })
        .await
        .unwrap();
        assert_eq!(
            conflict(
                commit(storage, async |unit| unit
                    .add_email(bob, "aDA@example.ORG", at(1))
                    .await)
                .await
            ),
            Conflict::EmailTaken
        );
        commit(storage, async |unit| {
            unit.add_email(bob, "bob@example.org", at(1)).await
        })
        .await
        .unwrap();
        for work in ["verify", "promote", "remove"] {
            let touched = commit(storage, async |unit| match work {
                "verify" => unit.verify_email(bob, "ada@example.org", at(2)).await,
                "promote" => unit.promote_email(bob, "ada@example.org").await,
                _ => unit.remove_email(bob, "ada@example.org").await,
            });
            assert!(!touched.await.unwrap(), "{work}");
        }
        assert!(
            storage.emails(bob).await.unwrap()[0].primary,
            "a promotion that failed takes nothing away"
        );
        assert_eq!(
            storage
                .email("ADA@example.org")
                .await
                .unwrap()
                .unwrap()
                .user,
            ada
        );
        assert!(
            !commit(storage, async |unit| unit
                .remove_email(ada, "ada@example.org")
                .await)
            .await
            .unwrap(),
            "the primary one stays"
        );
    })
    .await;
}

#[tokio::test]
async fn an_address_that_was_never_verified_goes_to_whoever_proves_it() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let ada = user(storage, "ada").await;
        commit(storage, async |unit| {
            for address in [
                "squatted@example.org",
                "late@example.org",
                "ada@example.org",
            ] {
                unit.add_email(ada, address, at(1)).await?;
            }
            unit.verify_email(ada, "ada@example.org", at(2)).await
        })
        .await
        .unwrap();
        let release = async |address: &'static str| {
            commit(storage, async |unit| {
                unit.release_unverified_email(address).await
            })
            .await
            .unwrap()
        };
        assert_eq!(
            release("ada@example.org").await,
            None,
            "a verified one stays"
        );
        assert_eq!(release("nobody@example.org").await, None);
        assert_eq!(release("Squatted@Example.org").await, Some(ada));
        assert_eq!(release("squatted@example.org").await, None);
        let emails = storage.emails(ada).await.unwrap();
        assert_eq!(
            emails
                .iter()
                .map(|email| (email.address.as_str(), email.primary))
                .collect::<Vec<_>>(),
            [("ada@example.org", true), ("late@example.org", false)],
            "a verified one takes the place of the primary one"
        );
    })
    .await;
}

#[tokio::test]
async fn an_address_is_never_added_to_a_user_who_does_not_exist() {
    on_both(async |fixture| {
        let mut unit = fixture.storage.begin().await.unwrap();
        assert_eq!(
            conflict(
                unit.add_email(model::UserId::new(), "a@example.org", at(1))
                    .await
            ),
            Conflict::ReferenceGone
        );
        assert_eq!(
            conflict(unit.commit(&event(EventKind::EmailAdded)).await),
            Conflict::ReferenceGone
        );
    })
    .await;
}

#[tokio::test]
async fn without_totp_no_step_is_accepted() {
    on_both(async |fixture| {
        let ada = user(&fixture.storage, "ada").await;
        assert!(!fixture.storage.accept_totp_step(ada, 1).await.unwrap());
    })
    .await;
}

#[tokio::test]
async fn enrolling_a_secret_again_frees_no_step_whatever_was_enrolled_between() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let ada = user(storage, "ada").await;
        enroll(storage, ada, Some(SECRET)).await;
        assert!(storage.accept_totp_step(ada, 7).await.unwrap());
        assert_eq!(
            storage.user(ada).await.unwrap().unwrap().totp_last_step,
            Some(7)
        );
        enroll(storage, ada, Some(SECRET)).await;
        assert!(!storage.accept_totp_step(ada, 7).await.unwrap());
        enroll(storage, ada, Some("KRSXG5CTMVRXEZLU")).await;
        assert!(!storage.accept_totp_step(ada, 7).await.unwrap());
        assert!(
            commit(storage, async |unit| unit.remove_totp(ada, false).await)
                .await
                .unwrap()
        );
        enroll(storage, ada, Some(SECRET)).await;
        assert!(!storage.accept_totp_step(ada, 7).await.unwrap());
        assert!(storage.accept_totp_step(ada, 8).await.unwrap());
    })
    .await;
}

#[tokio::test]
async fn the_enrolling_code_never_works_again() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let ada = user(storage, "ada").await;
        let set = async |secret: &'static str, step| {
            commit(storage, async |unit| {
                unit.set_totp(ada, secret, step, at(50)).await
            })
            .await
            .unwrap()
        };
        let last = async || storage.user(ada).await.unwrap().unwrap().totp_last_step;
        set(SECRET, Some(7)).await;
        assert!(
            !storage.accept_totp_step(ada, 6).await.unwrap()
                && !storage.accept_totp_step(ada, 7).await.unwrap()
        );
        assert!(storage.accept_totp_step(ada, 9).await.unwrap());
        set(SECRET, Some(8)).await;
        assert_eq!(last().await, Some(9), "what is spent stays spent");
        set("KRSXG5CTMVRXEZLU", Some(10)).await;
        assert_eq!(last().await, Some(10));
        assert!(
            commit(storage, async |unit| unit.remove_totp(ada, false).await)
                .await
                .unwrap()
        );
        assert!(!storage.accept_totp_step(ada, 100).await.unwrap());
        set(SECRET, None).await;
        assert_eq!(last().await, Some(10));
    })
    .await;
}

#[tokio::test]
async fn a_user_is_found_by_an_address_that_is_verified_only() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let ada = user(storage, "ada").await;
        commit(storage, async |unit| {
            unit.add_email(ada, "Ada@Example.org", at(1)).await
        })
        .await
        .unwrap();
        let found = async || {
            storage
                .user_by_email("aDA@example.ORG")
                .await
                .unwrap()
                .map(|user| user.id)
        };
        assert_eq!(found().await, None);
        commit(storage, async |unit| {
            unit.verify_email(ada, "ada@example.org", at(2)).await
        })
        .await
        .unwrap();
        assert_eq!(found().await, Some(ada));
        assert!(
            storage
                .user_by_email("bob@example.org")
                .await
                .unwrap()
                .is_none()
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn there_is_one_first_user_however_many_strangers_came_before() {
    on_both(async |fixture| {
        user(&fixture.storage, "stranger").await;
        assert!(!fixture.storage.had_staff().await.unwrap());
        let first = at_once(&fixture, 6, |storage, number| async move {
            let name = model::UserName::parse(&format!("user{number}")).unwrap();
            let new = NewUser {
                id: model::UserId::new(),
                name: &name,
                created_at: at(1),
                staff: true,
            };
            let create = async |unit: &mut storage::UnitOfWork| {
                let created = unit.create_first_user(&new).await?;
                unit.also(&event(if created {
                    EventKind::StaffGranted
                } else {
                    EventKind::ProjectConfigured
                }));
                Ok(created)
            };
            commit(&storage, create).await.unwrap().then_some(new.id)
        })
        .await;
        let first: Vec<_> = first.into_iter().flatten().collect();
        assert_eq!(first.len(), 1);
        let staff = async || {
            fixture
                .storage
                .users(None, 10)
                .await
                .unwrap()
                .into_iter()
                .filter(|user| user.staff)
                .map(|user| user.id)
                .collect::<Vec<_>>()
        };
        assert_eq!(staff().await, [first[0]]);
        commit(&fixture.storage, async |unit| {
            unit.delete_user(first[0], at(5)).await
        })
        .await
        .unwrap();
        assert!(staff().await.is_empty() && fixture.storage.had_staff().await.unwrap());
        let name = model::UserName::parse("second").unwrap();
        let new = NewUser {
            id: model::UserId::new(),
            name: &name,
            created_at: at(6),
            staff: true,
        };
        let created = commit(&fixture.storage, async |unit| {
            unit.create_first_user(&new).await
        })
        .await
        .unwrap();
        assert!(!created, "a registry that its staff left is not a new one");
        assert_eq!(fixture.storage.user_count().await.unwrap(), 2);
    })
    .await;
}

/// For any order and number of requests, each step passes at most once, and a step that passed is
/// later than all that had been answered before.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_totp_step_is_accepted_twice() {
    on_both(async |fixture| {
        let storages = [fixture.storage.clone(), fixture.again().await];
        let runtime = tokio::runtime::Handle::current();
        let mut runner = TestRunner::new(Config {
            cases: 12,
            failure_persistence: None,
            ..Config::default()
        });
        let steps = proptest::collection::vec(1_i64..6, 2..12);
        let cases = move || {
            let mut number = 0;
            let number = std::cell::RefCell::new(&mut number);
            runner.run(&steps, |steps| {
                **number.borrow_mut() += 1;
                let name = format!("user{}", number.borrow());
                let accepted = runtime.block_on(async {
                    let ada = user(&storages[0], &name).await;
                    enroll(&storages[0], ada, Some(SECRET)).await;
                    let requests: Vec<_> = (0..)
                        .zip(&steps)
                        .map(|(position, &step)| {
                            let storage = storages[position % 2].clone();
                            tokio::spawn(async move {
                                (step, storage.accept_totp_step(ada, step).await.unwrap())
                            })
                        })
                        .collect();
                    let mut accepted = Vec::new();
                    for request in requests {
                        let (step, passed) = request.await.unwrap();
                        accepted.extend(passed.then_some(step));
                    }
                    accepted
                });
                let mut distinct = accepted.clone();
                distinct.sort_unstable();
                distinct.dedup();
                prop_assert_eq!(distinct.len(), accepted.len(), "accepted {:?}", accepted);
                prop_assert!(
                    accepted.contains(steps.iter().max().unwrap()),
                    "the last step always passes once"
                );
                Ok(())
            })
        };
        tokio::task::spawn_blocking(cases).await.unwrap().unwrap();
    })
    .await;
}
