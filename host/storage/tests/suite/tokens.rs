use model::TokenId;
use storage::Conflict;

use crate::fixture::{at, commit, conflict, on_both, try_token, user};

#[tokio::test]
async fn a_token_is_found_with_its_user() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let ada = user(storage, "ada").await;
        let id = try_token(storage, ada, "ci").await.unwrap();
        let found = storage.token(id).await.unwrap().unwrap();
        assert_eq!(
            (
                found.user.id,
                found.token.description.as_str(),
                found.token.key.expose()
            ),
            (ada, "ci", &[7; 32])
        );
        assert_eq!(found.token.stored_caveats, [r#"[1,["sample"]]"#]);
        assert!(found.token.made_with_second_factor && found.token.revoked_at.is_none());
        assert!(
            !format!("{found:?}").contains("7, 7"),
            "the key stays out of Debug"
        );
        assert!(storage.token(TokenId::new()).await.unwrap().is_none());
    })
    .await;
}

#[tokio::test]
async fn a_description_is_unique_among_the_live_tokens_of_a_user() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let (ada, bob) = (user(storage, "ada").await, user(storage, "bob").await);
        let first = try_token(storage, ada, "ci").await.unwrap();
        assert_eq!(
            conflict(try_token(storage, ada, "ci").await),
            Conflict::TokenDescriptionTaken
        );
        try_token(storage, bob, "ci").await.unwrap();
        assert!(
            commit(storage, async |unit| unit.revoke_token(first, at(9)).await)
                .await
                .unwrap()
        );
        assert!(
            !commit(storage, async |unit| unit.revoke_token(first, at(10)).await)
                .await
                .unwrap(),
            "only once"
        );
        let second = try_token(storage, ada, "ci").await.unwrap();
        assert_eq!(
            storage
                .tokens_of(ada)
                .await
                .unwrap()
                .iter()
                .map(|token| token.id)
                .collect::<Vec<_>>(),
            [second]
        );
        assert_eq!(
            storage
                .token(first)
                .await
                .unwrap()
                .unwrap()
                .token
                .revoked_at,
            Some(at(9))
        );
    })
    .await;
}

#[tokio::test]
async fn all_tokens_of_a_user_are_revoked_at_once() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let (ada, bob) = (user(storage, "ada").await, user(storage, "bob").await);
        let early = try_token(storage, ada, "early").await.unwrap();
        commit(storage, async |unit| unit.revoke_token(early, at(5)).await)
            .await
            .unwrap();
        for description in ["ci", "laptop"] {
            try_token(storage, ada, description).await.unwrap();
        }
        try_token(storage, bob, "ci").await.unwrap();
        assert_eq!(
            commit(storage, async |unit| unit
                .revoke_tokens_of(ada, at(9))
                .await)
            .await
            .unwrap(),
            2
        );
        assert_eq!(
            (
                storage.tokens_of(ada).await.unwrap().len(),
                storage.tokens_of(bob).await.unwrap().len()
            ),
            (0, 1)
        );
        assert_eq!(
            storage
                .token(early)
                .await
                .unwrap()
                .unwrap()
                .token
                .revoked_at,
            Some(at(5)),
            "it was before"
        );
    })
    .await;
}

#[tokio::test]
async fn a_user_has_at_most_so_many_live_tokens() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let (ada, bob) = (user(storage, "ada").await, user(storage, "bob").await);
        let first = try_token(storage, ada, "0").await.unwrap();
        for number in 1..storage::tokens::MAX_LIVE {
            try_token(storage, ada, &number.to_string()).await.unwrap();
        }
        assert_eq!(
            conflict(try_token(storage, ada, "one more").await),
            Conflict::TooManyTokens
        );
        try_token(storage, bob, "one more").await.unwrap();
        commit(storage, async |unit| unit.revoke_token(first, at(9)).await)
            .await
            .unwrap();
        try_token(storage, ada, "one more").await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_description_has_at_most_100_characters() {
    on_both(async |fixture| {
        let ada = user(&fixture.storage, "ada").await;
        try_token(&fixture.storage, ada, &"ü".repeat(100))
            .await
            .unwrap();
        assert_eq!(
            conflict(try_token(&fixture.storage, ada, &"u".repeat(101)).await),
            Conflict::TextRefused
        );
    })
    .await;
}

#[tokio::test]
async fn a_token_of_nobody_cannot_be_made() {
    on_both(async |fixture| {
        assert_eq!(
            conflict(try_token(&fixture.storage, model::UserId::new(), "ci").await),
            Conflict::ReferenceGone
        );
    })
    .await;
}

#[tokio::test]
async fn a_use_is_written_at_most_once_a_minute() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let ada = user(storage, "ada").await;
        let id = try_token(storage, ada, "ci").await.unwrap();
        for (used, remembered) in [(100, 100), (159, 100), (160, 160), (130, 160)] {
            storage.touch_token(id, at(used)).await.unwrap();
            assert_eq!(
                storage.token(id).await.unwrap().unwrap().token.last_used_at,
                Some(at(remembered))
            );
        }
    })
    .await;
}

#[tokio::test]
async fn caveats_added_at_once_are_all_kept() {
    on_both(async |fixture| {
        let storage = fixture.storage.clone();
        let ada = user(&storage, "ada").await;
        let id = try_token(&storage, ada, "ci").await.unwrap();
        let additions: Vec<_> = (0..5)
            .map(|number| {
                let storage = storage.clone();
                tokio::spawn(async move {
                    commit(&storage, async |unit| {
                        unit.add_stored_caveat(id, &format!("[0,{number},0]")).await
                    })
                    .await
                })
            })
            .collect();
        for addition in additions {
            assert!(addition.await.unwrap().unwrap());
        }
        assert_eq!(
            storage
                .token(id)
                .await
                .unwrap()
                .unwrap()
                .token
                .stored_caveats
                .len(),
            6
        );
    })
    .await;
}
