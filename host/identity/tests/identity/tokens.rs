use gate::RefusalKind;
use identity::{
    Account, ListTokens, NewTokenScope, Presented, RequestContext, RevokeToken, Secret,
    SetPassword, TokenError,
};
use model::audit::EventKind;
use model::caveat::CaveatSubject;
use model::mail::{MailField, MailKind};
use model::{
    Action, Assurance, Caller, Caveat, Clock, CredentialKind, ProjectId, ProjectName, Role,
    TokenId, UserId,
};
use storage::projects::NewProject;
use storage::tokens::NewToken;

use crate::fixture::{Fixture, NOW, PASSWORD, user_name};

fn projects(names: &[&str]) -> NewTokenScope {
    NewTokenScope::Projects(
        names
            .iter()
            .map(|name| ProjectName::parse(name).unwrap())
            .collect(),
    )
}

async fn create_project(fixture: &Fixture, name: &str, owner: Option<UserId>) -> ProjectId {
    let (id, name) = (ProjectId::new(), ProjectName::parse(name).unwrap());
    let mut unit = fixture.storage.begin().await.unwrap();
    unit.create_project(&NewProject {
        id,
        name: &name,
        created_at: NOW,
    })
    .await
    .unwrap();
    if let Some(owner) = owner {
        unit.grant_role(id, owner, Role::Owner, NOW).await.unwrap();
    }
    let event = model::audit::AuditEvent::of_server(
        NOW,
        model::audit::Detail::read(EventKind::ProjectCreated, &serde_json::json!({})),
    )
    .in_project(id);
    unit.commit(&event).await.unwrap();
    id
}

/// The caveats from the registry, and those that the holder added.
fn caveats(caller: &Caller) -> (&[Caveat], &[Caveat]) {
    let token = caller.token.as_ref().unwrap();
    (&token.minted, &token.added)
}

/// An action that a token may perform.
#[derive(Debug)]
struct Upload;

impl gate::Target for Upload {
    fn facts(&self) -> gate::TargetFacts<'_> {
        gate::TargetFacts::of(Action::FileUpload)
    }
}

fn reason(refusal: &gate::Refusal) -> (RefusalKind, Vec<gate::Reason>) {
    (refusal.kind.clone(), refusal.reasons.clone())
}

#[tokio::test]
async fn who_presents_nothing_is_anonymous_and_leaves_no_trace() {
    let fixture = Fixture::new().await;
    let before = fixture.events().await.len();
    assert_eq!(
        fixture.present(Presented::None, Action::IndexRead).await,
        Ok(Caller::anonymous())
    );
    assert_eq!(fixture.events().await.len(), before);
}

#[tokio::test]
async fn a_token_yields_its_user_on_any_route_and_proves_no_factor() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    let token = fixture.token("Ana", NewTokenScope::Account).await;
    assert!(
        token.starts_with("pypi-AgEQcHlwaS5leGFtcGxlLm9yZw"),
        "the location is the registry's host"
    );
    for &action in Action::ALL {
        let caller = fixture
            .present(Presented::Token(Secret::new(token.clone())), action)
            .await
            .unwrap();
        assert_eq!(
            (
                caller.credential,
                caller.user().unwrap().id,
                caller.assurance
            ),
            (CredentialKind::ApiToken, ana, Assurance::NONE)
        );
        let user = Caveat::RequestUser(ana.to_string());
        assert_eq!(
            caveats(&caller),
            (&[user][..], &[][..]),
            "what stands in the token is what is stored for it"
        );
    }
    let succeeded = fixture
        .events()
        .await
        .into_iter()
        .filter(|event| event.kind == EventKind::AuthenticationSucceeded)
        .count();
    assert_eq!(succeeded, Action::ALL.len());
}

#[tokio::test]
async fn every_token_that_is_not_accepted_is_refused_in_the_same_words() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    let revoked = fixture.token("ana", NewTokenScope::Account).await;
    let id = fixture
        .present_token(&revoked)
        .await
        .unwrap()
        .token_id()
        .unwrap();
    fixture
        .identity
        .tokens()
        .revoke(
            fixture
                .permit(RevokeToken {
                    account: Account::at_the_server(ana),
                    token: id,
                })
                .await,
        )
        .await
        .unwrap();
    let valid = fixture.token("ana", NewTokenScope::Account).await;
    let flipped = {
        let position = valid.len() - 10;
        let other = if valid.as_bytes()[position] == b'A' {
            "B"
        } else {
            "A"
        };
        format!("{}{other}{}", &valid[..position], &valid[position + 1..])
    };
    let key = Secret::new([7; 32]);
    let unknown = identity::tokens::mint("pypi", "pypi.example.org", TokenId::new(), &key, &[])
        .expose()
        .clone();
    let mut answers = Vec::new();
    for (token, why) in [
        ("garbage", "unreadable-token"),
        (&flipped, "wrong-signature"),
        (&unknown, "unknown-token"),
        (&revoked, "revoked-token"),
    ] {
        let refusal = fixture.present_token(token).await.unwrap_err();
        assert_eq!(fixture.last_failure().await, why);
        answers.push(reason(&refusal));
    }
    assert!(
        answers.windows(2).all(|pair| pair[0] == pair[1]),
        "{answers:?}"
    );
    assert_eq!(
        answers[0].1[0].message,
        "Invalid or non-existent authentication information."
    );
    assert!(fixture.present_token(&valid).await.is_ok());
}

/// After a slow body, the token is checked again before the decision.
#[tokio::test]
async fn a_credential_that_is_looked_at_again_is_that_of_then() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    let token = fixture.token("ana", NewTokenScope::Account).await;
    let presented = Presented::Token(Secret::new(token.clone()));
    let begun = fixture.attempt();
    let first = fixture
        .identity
        .authenticate(
            RequestContext::new(&fixture.gate, &begun),
            presented.clone(),
            Action::FileUpload,
        )
        .await
        .unwrap();
    let events = fixture.events().await.len();
    let again = async || {
        let attempt = fixture.gate.renew(&begun);
        assert_eq!(
            (attempt.id, attempt.set_number(), attempt.at),
            (begun.id, begun.set_number(), fixture.clock.now())
        );
        fixture
            .identity
            .authenticate_again(
                RequestContext::new(&fixture.gate, &attempt),
                presented.clone(),
                Action::FileUpload,
            )
            .await
    };
    assert_eq!(again().await.unwrap().user(), first.user());
    assert_eq!(
        fixture.events().await.len(),
        events,
        "it is one authentication, not two"
    );

    fixture.clock.advance_seconds(3600);
    fixture.enroll(ana).await;
    let restrict = async |caveat: &str| {
        let mut unit = fixture.storage.begin().await.unwrap();
        unit.add_stored_caveat(first.token_id().unwrap(), caveat)
            .await
            .unwrap();
        unit.commit(&fixture.some_event()).await.unwrap();
    };
    restrict("[1, [\"other\"]]").await;
    let caller = again().await.unwrap();
    assert!(
        caller.user().unwrap().factors.totp
            && caveats(&caller).0.len() == caveats(&first).0.len() + 1
    );

    let revoke = RevokeToken {
        account: Account::at_the_server(ana),
        token: first.token_id().unwrap(),
    };
    fixture
        .identity
        .tokens()
        .revoke(fixture.permit(revoke).await)
        .await
        .unwrap();
    assert_eq!(again().await.unwrap_err().kind, RefusalKind::Denied);
    assert_eq!(fixture.last_failure().await, "revoked-token");
}

#[tokio::test]
async fn a_password_that_was_changed_meanwhile_is_not_accepted_again() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    let presented = || Presented::Basic {
        user: "ana".to_owned(),
        password: Secret::new(PASSWORD.to_owned()),
    };
    let begun = fixture.attempt();
    fixture
        .identity
        .authenticate(
            RequestContext::new(&fixture.gate, &begun),
            presented(),
            Action::FileUpload,
        )
        .await
        .unwrap();
    let again = async |action| {
        fixture
            .identity
            .authenticate_again(
                RequestContext::new(&fixture.gate, &fixture.gate.renew(&begun)),
                presented(),
                action,
            )
            .await
    };
    assert!(again(Action::FileUpload).await.is_ok());
    assert!(
        again(Action::ProjectDelete).await.is_err(),
        "no policy could permit a password there"
    );
    let target = SetPassword {
        account: Account::at_the_server(ana),
        password: Secret::new("another horse".to_owned()),
    };
    fixture
        .identity
        .accounts()
        .set_password(fixture.permit(target).await)
        .await
        .unwrap();
    assert!(again(Action::FileUpload).await.is_err());
    assert_eq!(fixture.last_failure().await, "wrong-password");
}

#[tokio::test]
async fn a_caveat_that_is_not_understood_is_named() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    let token = fixture.token("ana", NewTokenScope::Account).await;
    let id = fixture
        .present_token(&token)
        .await
        .unwrap()
        .token_id()
        .unwrap();
    let mut unit = fixture.storage.begin().await.unwrap();
    unit.add_stored_caveat(id, "[9999999]").await.unwrap();
    let event = model::audit::AuditEvent::of_server(
        NOW,
        model::audit::Detail::read(EventKind::TokenCreated, &serde_json::json!({})),
    )
    .about(ana);
    unit.commit(&event).await.unwrap();
    let refusal = fixture.present_token(&token).await.unwrap_err();
    assert_eq!(
        refusal.reasons[0].message,
        "Invalid API Token: caveat has unknown tag: 9999999"
    );
    assert_eq!(fixture.last_failure().await, "invalid-caveat");
}

fn names(names: &[&str]) -> Caveat {
    Caveat::ProjectNames(names.iter().map(|name| name.to_string()).collect())
}

/// The caveats in a token's text, and whether the registry stored the same.
async fn embedded(fixture: &Fixture, user: &str, names: &[&str]) -> Vec<Caveat> {
    let caller = fixture
        .present_token(&fixture.token(user, projects(names)).await)
        .await
        .unwrap();
    assert_eq!(caveats(&caller).1, [], "nobody added anything");
    caveats(&caller).0.to_vec()
}

#[tokio::test]
async fn a_token_for_projects_carries_their_ids_when_its_user_has_a_role_on_all_of_them() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    let id = create_project(&fixture, "Foo.Bar", Some(ana)).await;
    assert_eq!(
        embedded(&fixture, "ana", &["foo_bar"]).await,
        [
            names(&["foo-bar"]),
            Caveat::ProjectIds(vec![id.to_string()])
        ]
    );
    assert_eq!(embedded(&fixture, "ana", &["new"]).await, [names(&["new"])]);
    assert_eq!(
        embedded(&fixture, "ana", &["new", "FOO-BAR", "foo.bar"]).await,
        [names(&["foo-bar", "new"])]
    );
}

#[tokio::test]
async fn a_token_says_nothing_of_a_project_on_which_its_user_has_no_role() {
    let fixture = Fixture::new().await;
    let (ana, _) = (fixture.user("ana").await, fixture.user("eve").await);
    create_project(&fixture, "hidden", Some(ana)).await;
    create_project(&fixture, "nobodys", None).await;
    for name in ["hidden", "nobodys", "absent"] {
        assert_eq!(
            embedded(&fixture, "eve", &[name]).await,
            [names(&[name])],
            "{name}"
        );
    }
    assert_eq!(
        embedded(&fixture, "ana", &["hidden", "nobodys"]).await,
        [names(&["hidden", "nobodys"])]
    );
}

/// Rows as an earlier version, or an import of tokens, may have written them.
#[tokio::test]
async fn a_token_of_before_without_a_record_is_what_its_text_says_first() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    let user = Caveat::RequestUser(ana.to_string());
    let expiry = Caveat::Expiration {
        expires_at: NOW.plus_ms(60_000).seconds(),
        not_before: 0,
    };
    for (number, (text, minted)) in [
        (vec![user.clone()], 1),
        (vec![user.clone(), names(&["a"])], 1),
        (vec![expiry.clone(), user, names(&["a"])], 2),
        (vec![names(&["a", "b"]), names(&["a"])], 1),
        (
            vec![expiry, names(&["a"]), Caveat::ProjectIds(vec!["id".into()])],
            2,
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let (id, key) = (TokenId::new(), identity::tokens::generate_key());
        let description = format!("old {number}");
        let mut unit = fixture.storage.begin().await.unwrap();
        let row = NewToken {
            id,
            user: ana,
            description: &description,
            key: &key,
            stored_caveats: &[],
            created_at: NOW,
            made_with_second_factor: false,
        };
        unit.create_token(&row).await.unwrap();
        unit.commit(&fixture.some_event()).await.unwrap();
        let caveats_in_text: Vec<String> = text.iter().map(Caveat::to_json).collect();
        let presented =
            identity::tokens::mint("pypi", "pypi.example.org", id, &key, &caveats_in_text);
        let caller = fixture.present_token(presented.expose()).await.unwrap();
        assert_eq!(caveats(&caller), (&text[..minted], &text[minted..]));
    }
}

#[tokio::test]
async fn a_token_that_expires_is_valid_from_its_making_until_its_expiry() {
    let fixture = Fixture::new().await;
    fixture.user("ana").await;
    let account = fixture.account("ana").await;
    let create = |expires_at| {
        fixture.identity.tokens().to_create(
            account,
            "one",
            NewTokenScope::Account,
            Some(expires_at),
            None,
        )
    };
    assert!(matches!(
        create(NOW).await,
        Err(TokenError::ExpiryInThePast)
    ));
    let target = create(NOW.plus_ms(60_000)).await.unwrap();
    let token = fixture
        .identity
        .tokens()
        .create(fixture.permit(target).await)
        .await
        .unwrap()
        .text;
    let caller = fixture.present_token(token.expose()).await.unwrap();
    let holds_at = |now| {
        caller.token.as_ref().unwrap().caveats().all(|caveat| {
            caveat
                .check(&CaveatSubject {
                    now,
                    caller: &caller,
                    project: None,
                    publisher_registered: false,
                })
                .is_ok()
        })
    };
    assert!(holds_at(NOW) && holds_at(NOW.plus_ms(59_999)));
    assert!(!holds_at(NOW.plus_ms(60_000)) && !holds_at(NOW.plus_ms(-1000)));
}

#[tokio::test]
async fn the_use_of_a_token_is_noted_at_most_once_a_minute() {
    let fixture = Fixture::new().await;
    fixture.user("ana").await;
    let token = fixture.token("ana", NewTokenScope::Account).await;
    let used = async || {
        let caller = fixture.present_token(&token).await.unwrap();
        let _ = fixture
            .gate
            .decide(&fixture.attempt(), &caller, Upload)
            .await
            .unwrap();
        caller.token.unwrap().last_used_at
    };
    assert_eq!(used().await, None);
    fixture.clock.advance_seconds(59);
    assert_eq!(used().await, Some(NOW));
    assert_eq!(used().await, Some(NOW));
    fixture.clock.advance_seconds(1);
    assert_eq!(used().await, Some(NOW));
    assert_eq!(used().await, Some(NOW.plus_ms(60_000)));
}

/// Otherwise a policy against long-unused tokens would refuse only the first attempt.
#[tokio::test]
async fn a_refused_attempt_does_not_make_a_token_look_used() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    let token = fixture.token("ana", NewTokenScope::Account).await;
    for _ in 0..2 {
        let caller = fixture.present_token(&token).await.unwrap();
        assert_eq!(caller.token.as_ref().unwrap().last_used_at, None);
        assert!(
            fixture
                .gate
                .decide(
                    &fixture.attempt(),
                    &caller,
                    ListTokens {
                        account: Account::at_the_server(ana)
                    }
                )
                .await
                .is_err()
        );
    }
}

#[tokio::test]
async fn invalid_tokens_are_limited_by_address_and_valid_ones_never() {
    let fixture = Fixture::with(crate::fixture::limits(3)).await;
    fixture.user("ana").await;
    let token = fixture.token("ana", NewTokenScope::Account).await;
    for _ in 0..3 {
        assert_eq!(
            fixture.present_token("pypi-x").await.unwrap_err().kind,
            RefusalKind::Denied
        );
    }
    let RefusalKind::Limited {
        retry_after_seconds,
    } = fixture.present_token("pypi-x").await.unwrap_err().kind
    else {
        panic!("not limited")
    };
    assert_eq!(retry_after_seconds, 300);
    assert!(fixture.present_token(&token).await.is_ok());
}

#[tokio::test]
async fn a_description_is_unique_among_live_tokens_and_revoking_frees_it() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    let account = fixture.account("ana").await;
    let create = async || {
        let target = fixture
            .identity
            .tokens()
            .to_create(account, " ci ", NewTokenScope::Account, None, None)
            .await
            .unwrap();
        fixture
            .identity
            .tokens()
            .create(fixture.permit(target).await)
            .await
    };
    let first = create().await.unwrap();
    assert!(matches!(create().await, Err(TokenError::DescriptionTaken)));
    let listed = fixture
        .identity
        .tokens()
        .list(
            fixture
                .permit(ListTokens {
                    account: Account::at_the_server(ana),
                })
                .await,
        )
        .await
        .unwrap();
    assert_eq!(
        listed
            .iter()
            .map(|token| (token.id, token.description.as_str()))
            .collect::<Vec<_>>(),
        [(first.id, "ci")]
    );
    assert_eq!(listed[0].caveats, [format!("[3,\"{ana}\"]")]);
    fixture
        .identity
        .tokens()
        .revoke(
            fixture
                .permit(RevokeToken {
                    account: Account::at_the_server(ana),
                    token: first.id,
                })
                .await,
        )
        .await
        .unwrap();
    create().await.unwrap();
}

#[tokio::test]
async fn nobody_revokes_a_token_of_somebody_else() {
    let fixture = Fixture::new().await;
    fixture.user("ana").await;
    let ben = fixture.user("ben").await;
    let token = fixture.token("ana", NewTokenScope::Account).await;
    let id = fixture
        .present_token(&token)
        .await
        .unwrap()
        .token_id()
        .unwrap();
    for (user, token) in [(ben, id), (ben, TokenId::new())] {
        let result = fixture
            .identity
            .tokens()
            .revoke(
                fixture
                    .permit(RevokeToken {
                        account: Account::at_the_server(user),
                        token,
                    })
                    .await,
            )
            .await;
        assert!(matches!(result, Err(TokenError::UnknownToken)));
    }
    assert!(fixture.present_token(&token).await.is_ok());
}

#[tokio::test]
async fn what_a_token_cannot_be_is_refused_before_it_is_made() {
    let fixture = Fixture::new().await;
    fixture.user("ana").await;
    let ask = async |user: &str, description: &str, scope| {
        fixture
            .identity
            .tokens()
            .to_create(fixture.account(user).await, description, scope, None, None)
            .await
            .unwrap_err()
    };
    assert!(matches!(
        ask("nobody", "ci", NewTokenScope::Account).await,
        TokenError::UnknownUser
    ));
    for description in [
        "",
        "  ",
        "a\nb",
        "a\u{2028}b",
        "\u{202e}toptal",
        &"a".repeat(101),
    ] {
        assert!(matches!(
            ask("ana", description, NewTokenScope::Account).await,
            TokenError::InvalidDescription
        ));
    }
    assert!(matches!(
        ask("ana", "ci", projects(&[])).await,
        TokenError::InvalidScope
    ));
    let many: Vec<String> = (0..101).map(|number| format!("p{number}")).collect();
    assert!(matches!(
        ask(
            "ana",
            "ci",
            projects(&many.iter().map(String::as_str).collect::<Vec<_>>())
        )
        .await,
        TokenError::InvalidScope
    ));
    let long: Vec<String> = (0..40)
        .map(|number| format!("{number}{}", "x".repeat(190)))
        .collect();
    let target = fixture
        .identity
        .tokens()
        .to_create(
            fixture.account("ana").await,
            "ci",
            projects(&long.iter().map(String::as_str).collect::<Vec<_>>()),
            None,
            None,
        )
        .await
        .unwrap();
    assert!(
        matches!(
            fixture
                .identity
                .tokens()
                .create(fixture.permit(target).await)
                .await,
            Err(TokenError::InvalidScope)
        ),
        "too long for a header"
    );
}

#[tokio::test]
async fn a_token_says_whether_a_second_factor_was_proven_for_it() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    fixture.user("ben").await;
    let secret = fixture.enroll(ana).await;
    let name = user_name("ana");
    let account = fixture.account("ana").await;
    let made_with = async |token: &Secret<String>| {
        fixture
            .present_token(token.expose())
            .await
            .unwrap()
            .token
            .unwrap()
            .made_with_second_factor
    };
    let target = async |description: &str, proof| {
        fixture
            .identity
            .tokens()
            .to_create(account, description, NewTokenScope::Account, None, proof)
            .await
    };

    let plain = fixture
        .identity
        .tokens()
        .create(fixture.permit(target("plain", None).await.unwrap()).await)
        .await
        .unwrap();
    assert!(
        !made_with(&plain.text).await,
        "shell access proves nobody's second factor"
    );

    let code = fixture.code(&secret, 0);
    assert!(matches!(
        fixture
            .identity
            .tokens()
            .prove_second_factor(&user_name("ben"), &code)
            .await,
        Err(TokenError::WrongTotpCode)
    ));
    let proof = fixture
        .identity
        .tokens()
        .prove_second_factor(&name, &code)
        .await
        .unwrap();
    let proven = fixture
        .identity
        .tokens()
        .create(
            fixture
                .permit(target("proven", Some(proof)).await.unwrap())
                .await,
        )
        .await
        .unwrap();
    assert!(made_with(&proven.text).await);
    assert!(
        matches!(
            fixture
                .identity
                .tokens()
                .prove_second_factor(&name, &code)
                .await,
            Err(TokenError::WrongTotpCode)
        ),
        "the code is used up"
    );

    let code = fixture.code(&secret, 1);
    let proof = fixture
        .identity
        .tokens()
        .prove_second_factor(&name, &code)
        .await
        .unwrap();
    let foreign = fixture
        .identity
        .tokens()
        .to_create(
            fixture.account("ben").await,
            "ci",
            NewTokenScope::Account,
            None,
            Some(proof),
        )
        .await;
    assert!(matches!(foreign, Err(TokenError::ForeignProof)));

    fixture.clock.advance_seconds(300);
    let caller = fixture
        .prove(
            "ana",
            crate::fixture::PASSWORD,
            Some(&fixture.code(&secret, 0)),
        )
        .await
        .unwrap();
    let permit = fixture
        .gate
        .decide(
            &fixture.attempt(),
            &caller,
            target("by session", None).await.unwrap(),
        )
        .await
        .unwrap();
    let by_session = fixture.identity.tokens().create(permit).await.unwrap();
    assert!(
        made_with(&by_session.text).await,
        "the caller proved one in the request"
    );
    let other = fixture
        .identity
        .tokens()
        .to_create(
            fixture.account("ben").await,
            "ci",
            NewTokenScope::Account,
            None,
            None,
        )
        .await
        .unwrap();
    let permit = fixture
        .gate
        .decide(&fixture.attempt(), &caller, other)
        .await
        .unwrap();
    assert!(
        matches!(
            fixture.identity.tokens().create(permit).await,
            Err(TokenError::UnknownUser)
        ),
        "one person's session is not another's"
    );
}

#[tokio::test]
async fn a_new_token_is_told_to_its_owner_and_the_mail_does_not_hold_it() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    let target = fixture
        .identity
        .tokens()
        .to_create(
            fixture.account("ana").await,
            "laptop",
            projects(&["Some.Thing"]),
            None,
            None,
        )
        .await
        .unwrap();
    let text = fixture
        .identity
        .tokens()
        .create(fixture.permit_person(ana, target).await)
        .await
        .unwrap()
        .text;
    let mail = fixture.mail().await;
    assert_eq!(
        (mail.recipient.as_str(), mail.mail.kind),
        ("ana@example.org", MailKind::TokenCreated)
    );
    assert_eq!(
        (
            mail.mail.field(MailField::Name),
            mail.mail.field(MailField::Scope)
        ),
        ("laptop", "the project some-thing")
    );
    assert!(!format!("{:?}", mail.mail).contains(&text.expose()[..30]));
}

#[tokio::test]
async fn nobody_sees_or_revokes_tokens_of_another() {
    let fixture = Fixture::new().await;
    let (ana, ben) = (fixture.user("ana").await, fixture.user("ben").await);
    fixture.token("ben", NewTokenScope::Account).await;
    let listed = fixture
        .identity
        .tokens()
        .list(
            fixture
                .permit_person(
                    ben,
                    ListTokens {
                        account: Account::at_the_server(ben),
                    },
                )
                .await,
        )
        .await
        .unwrap();
    let foreign = fixture
        .identity
        .tokens()
        .list(
            fixture
                .permit_person(
                    ana,
                    ListTokens {
                        account: Account::at_the_server(ben),
                    },
                )
                .await,
        )
        .await;
    assert!(matches!(foreign, Err(TokenError::UnknownUser)));
    for user in [ana, ben] {
        let target = RevokeToken {
            account: Account::at_the_server(user),
            token: listed[0].id,
        };
        assert!(matches!(
            fixture
                .identity
                .tokens()
                .revoke(fixture.permit_person(ana, target).await)
                .await,
            Err(TokenError::UnknownToken)
        ));
    }
}
