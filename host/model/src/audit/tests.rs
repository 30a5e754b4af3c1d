use std::collections::HashSet;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::detail::EndedSessions;
use super::*;
use crate::caller::CredentialKind;

fn lines(list: &str) -> impl Iterator<Item = (EventKind, Value)> {
    list.lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let (kind, stored) = line.split_once(' ').unwrap();
            (
                EventKind::from_word(kind).unwrap_or_else(|| panic!("{kind}")),
                serde_json::from_str(stored).unwrap(),
            )
        })
}

const STORED: &str = include_str!("stored.txt");
const EARLIER: &str = include_str!("earlier.txt");

#[test]
fn each_kind_is_stored_as_it_always_was() {
    let mut seen = HashSet::new();
    for (kind, stored) in lines(STORED) {
        let detail = Detail::read(kind, &stored);
        assert_eq!(detail.kind(), kind);
        assert_eq!(detail.to_json(), stored, "{kind}");
        seen.insert(kind);
    }
    let kinds = EventKind::ALL.iter().copied().collect::<HashSet<_>>();
    assert_eq!(seen, kinds, "each kind stands in the list");
}

/// Not only the keys: an unknown word would be stored unchanged as well.
#[test]
fn all_words_and_ids_of_what_is_stored_are_known() {
    for (kind, stored) in lines(STORED) {
        let detail = format!("{:?}", Detail::read(kind, &stored));
        assert!(!detail.contains("Other("), "{kind}: {detail}");
    }
}

#[test]
fn what_earlier_versions_stored_is_read_and_stays_what_it_was_read_as() {
    for (kind, stored) in lines(EARLIER) {
        let detail = Detail::read(kind, &stored);
        assert_eq!(Detail::read(kind, &detail.to_json()), detail, "{kind}");
    }
}

#[test]
fn what_is_missing_or_unknown_does_not_hide_the_rest() {
    let read = |kind, stored: Value| Detail::read(kind, &stored);
    assert_eq!(
        read(EventKind::AccountDisabled, json!({ "reason": "left" })),
        Detail::AccountDisabled {
            reason: "left".to_owned(),
            ended_sessions: 0
        }
    );
    assert_eq!(
        read(
            EventKind::AccountSecured,
            json!({ "mailed": true, "sessions": 2, "of-tomorrow": [1] })
        ),
        Detail::AccountSecured {
            sessions: 2,
            tokens: 0,
            passkeys: 0,
            mailed: None
        },
        "that it was mailed was a yes or no before"
    );
    assert_eq!(
        read(
            EventKind::RoleGranted,
            json!({ "user": "ben", "before": null, "after": "a-role-of-tomorrow" })
        ),
        Detail::RoleGranted {
            user: "ben".to_owned(),
            before: None,
            after: Word::Other("a-role-of-tomorrow".to_owned())
        }
    );
    assert_eq!(
        read(EventKind::SessionEnded, json!({ "session": "0195" })),
        Detail::SessionEnded {
            which: EndedSessions::One {
                session: Word::Other("0195".to_owned()),
                own: false
            }
        }
    );
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        "[a-z:-]{0,12}".prop_map(Value::from),
        Just(Value::from("pending")),
        Just(Value::from("01890000-0000-7000-8000-000000000001")),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::hash_map("[a-z]{1,3}", inner, 0..3)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// A line of the lists, with some of its fields removed or replaced.
fn altered() -> impl Strategy<Value = (EventKind, Value)> {
    let known: Vec<_> = lines(STORED).chain(lines(EARLIER)).collect();
    let changes = prop::collection::vec(prop::option::of(prop::option::of(any_json())), 8);
    (prop::sample::select(known), changes).prop_map(|((kind, stored), changes)| {
        let Value::Object(mut fields) = stored else {
            unreachable!("a detail is an object")
        };
        let keys: Vec<_> = fields.keys().cloned().collect();
        for (key, change) in keys.into_iter().zip(changes) {
            match change {
                None => {}
                Some(None) => drop(fields.remove(&key)),
                Some(Some(value)) => drop(fields.insert(key, value)),
            }
        }
        (kind, Value::Object(fields))
    })
}

proptest! {
    /// Every stored detail can be read, and is the same after it is written and read again.
    #[test]
    fn each_detail_that_is_written_is_read_back((kind, stored) in altered()) {
        let detail = Detail::read(kind, &stored);
        prop_assert_eq!(detail.kind(), kind);
        prop_assert_eq!(Detail::read(kind, &detail.to_json()), detail);
    }

    #[test]
    fn anything_at_all_is_read(stored in any_json()) {
        for &kind in EventKind::ALL {
            let detail = Detail::read(kind, &stored);
            prop_assert_eq!(Detail::read(kind, &detail.to_json()), detail);
        }
    }
}

#[test]
fn a_publisher_acts_as_one_and_not_as_a_user() {
    let caller = Caller {
        credential: CredentialKind::PublisherToken,
        principal: Principal::Publisher {
            id: uuid::Uuid::nil(),
            provider: "github".to_owned(),
            claims: vec![
                ("repository".to_owned(), "ana/sample".to_owned()),
                ("workflow".to_owned(), "release.yml".to_owned()),
            ],
        },
        ..Caller::anonymous()
    };
    let actor = Actor::of(&caller, "192.0.2.1".to_owned(), "twine".to_owned());
    assert_eq!(
        actor,
        Actor::Publisher {
            publisher: uuid::Uuid::nil(),
            provider: "github".to_owned(),
            subject: "repository=ana/sample workflow=release.yml".to_owned(),
            token: None,
            remote_address: "192.0.2.1".to_owned(),
            user_agent: "twine".to_owned(),
        }
    );
    assert!(actor.is_remote() && actor.user().is_none());
    assert_eq!(actor.place(), Some(("192.0.2.1", "twine")));
}
