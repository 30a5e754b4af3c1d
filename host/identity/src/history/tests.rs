use model::audit::{Actor, AuditEvent, Detail, EventKind};
use model::{ProjectId, Timestamp, TokenId, UserId};
use storage::audit::AuditRow;

use super::*;

const USER: &str = "01890000-0000-7000-8000-000000000001";
const TOKEN: &str = "01890000-0000-7000-8000-00000000000a";
const PROJECT: &str = "01890000-0000-7000-8000-000000000004";

fn row(kind: EventKind, stored: serde_json::Value) -> AuditRow {
    let actor = Actor::Caller {
        user: Some(USER.parse().unwrap()),
        token: None,
        remote_address: "192.0.2.1".into(),
        user_agent: "twine".into(),
    };
    let project: ProjectId = PROJECT.parse().unwrap();
    let event =
        AuditEvent::new(Timestamp(0), actor, Detail::read(kind, &stored)).in_project(project);
    AuditRow {
        sequence: 1,
        event,
        stored,
    }
}

/// One line for each line of the list: the text for the subject of the event, and the text for the
/// user who did it to them.
fn in_words(list: &str) -> String {
    let (user, token, project): (UserId, TokenId, ProjectId) = (
        USER.parse().unwrap(),
        TOKEN.parse().unwrap(),
        PROJECT.parse().unwrap(),
    );
    let names = Names {
        tokens: HashMap::from([(token, "laptop".to_owned())]),
        projects: HashMap::from([(project, "sample".to_owned())]),
    };
    let lines = list.lines().filter(|line| !line.starts_with('#'));
    let in_words = lines.map(|line| {
        let (kind, stored) = line.split_once(' ').unwrap();
        let row = row(
            EventKind::from_word(kind).unwrap(),
            serde_json::from_str(stored).unwrap(),
        );
        let words = |told: Option<Told>| match told {
            Some(told) if told.alarming => format!("! {}", told.sentence),
            Some(told) => told.sentence,
            None => "-".to_owned(),
        };
        let own = words(told(user, &row.event, &names));
        let of_another = AuditEvent {
            user: Some(UserId::new()),
            ..row.event.clone()
        };
        let of_another = words(told(user, &of_another, &names));
        let token = sentences::token_of(&row.event).map_or("no token", |_| "a token");
        format!("{kind} {stored}\n    {own}\n    {of_another}\n    {token}\n")
    });
    in_words.collect()
}

#[test]
fn what_is_stored_is_told_in_these_words() {
    insta::assert_snapshot!(in_words(include_str!(
        "../../../model/src/audit/stored.txt"
    )));
}

#[test]
fn what_earlier_versions_stored_is_told_in_these_words() {
    insta::assert_snapshot!(in_words(include_str!(
        "../../../model/src/audit/earlier.txt"
    )));
}
