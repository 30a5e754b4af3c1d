use super::*;

fn event() -> AuditEvent {
    let at = Timestamp::from_seconds(60);
    AuditEvent::of_server(at, Detail::PasswordRehashed)
}

fn attempt() -> Attempt {
    let (at, address) = (Timestamp::from_seconds(60), [192, 0, 2, 1].into());
    Attempt::new(at, "/test", crate::Method::Post, address, "test", 1)
}

fn account() -> Caller {
    Caller {
        credential: model::CredentialKind::ApiToken,
        principal: model::Principal::User(model::UserFacts {
            id: UserId::new(),
            name: model::UserName::parse("ana").unwrap(),
            created_at: Timestamp(0),
            email_verified: true,
            factors: model::Factors::default(),
            staff: false,
        }),
        ..Caller::anonymous()
    }
}

/// However much is recorded for accounts: no account becomes invisible behind others.
#[tokio::test]
async fn of_each_account_the_first_of_each_action_is_recorded_however_much_others_did() {
    let (queue, _entries) = mpsc::channel(QUEUE);
    let recorder = Recorder::with_queue(queue, RecorderConfig::default());
    type Wants = fn(&Recorder, &Caller, Action) -> bool;
    let kinds: [(&str, Wants); 4] = [
        ("refusals", |recorder, caller, action| {
            recorder.wants_refusal(&attempt(), caller, action)
        }),
        ("reads", |recorder, caller, action| {
            recorder.wants_success(&attempt(), caller, action, true)
        }),
        ("changes", |recorder, caller, action| {
            recorder.wants_success(&attempt(), caller, action, false)
        }),
        ("authentications", |recorder, caller, action| {
            recorder.wants_authentication(&attempt(), caller, action)
        }),
    ];
    for (kind, wants) in kinds {
        let is_used_up = (0..1000).any(|_| {
            let flooder = account();
            assert!(wants(&recorder, &flooder, Action::FileUpload), "{kind}");
            let second = wants(&recorder, &flooder, Action::FileUpload);
            while wants(&recorder, &flooder, Action::FileUpload) {}
            !second
        });
        assert!(is_used_up, "{kind}: all together have a bound");
        let carol = account();
        for action in [
            Action::FileUpload,
            Action::ReleasePublish,
            Action::IndexRead,
        ] {
            assert!(wants(&recorder, &carol, action), "{kind}: {action}");
            assert!(!wants(&recorder, &carol, action), "{kind}: {action} once");
        }
        // A thief with a token of hers, hidden behind her own actions.
        let with_token = Caller {
            token: Some(model::TokenFacts {
                id: model::TokenId::new(),
                created_at: Timestamp(0),
                last_used_at: None,
                made_with_second_factor: false,
                minted: Vec::new(),
                added: Vec::new(),
            }),
            ..carol.clone()
        };
        let in_session = Caller {
            session: Some(model::SessionId::new()),
            ..carol
        };
        for thief in [with_token, in_session] {
            assert!(wants(&recorder, &thief, Action::FileUpload), "{kind}");
            assert!(!wants(&recorder, &thief, Action::FileUpload), "{kind}");
        }
    }
}

#[tokio::test]
async fn reads_are_left_out_when_too_much_waits_and_nothing_else_is() {
    let (queue, mut entries) = mpsc::channel(QUEUE);
    let recorder = Recorder::with_queue(queue, RecorderConfig::default());
    for _ in 0..QUEUE + 100 {
        recorder.note(event());
    }
    let waits = recorder.audit(event());
    let taken = async {
        for _ in 0..QUEUE {
            assert!(matches!(entries.recv().await, Some(Entry::Event(_, None))));
        }
        match entries.recv().await {
            Some(Entry::Event(_, Some(done))) => done.send(Ok(())).unwrap(),
            _ => panic!("what nobody may leave out is next"),
        }
    };
    let (audited, ()) = tokio::join!(waits, taken);
    audited.unwrap();
    drop(recorder);
    assert!(
        entries.recv().await.is_none(),
        "and what was noted beyond is not there"
    );
}
