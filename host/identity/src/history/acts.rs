//! Groups events into acts, so that a person sees each act once.

use std::collections::HashMap;

use model::audit::detail::SecondStep;
use model::audit::{AuditEvent, Detail, EventKind};
use model::{Action, CredentialKind, DecisionId};
use storage::audit::AuditRow;

/// How far apart two events of one act can be, in sequence numbers. Events of others come between
/// them: an upload takes long, and its token is checked before it.
pub(super) const REACH: i64 = 256;
/// How long the steps of a login, or repetitions of an event, belong together.
const SOON_MS: i64 = 15 * 60 * 1000;

/// Events of one act, the newest first. Never empty.
pub(super) struct Act {
    pub(super) rows: Vec<AuditRow>,
}

impl Act {
    /// Its position in the history: that of its newest event.
    pub(super) fn sequence(&self) -> i64 {
        self.rows[0].sequence
    }

    fn is_near(&self, row: &AuditRow) -> bool {
        self.rows
            .last()
            .is_some_and(|oldest| oldest.sequence.saturating_sub(row.sequence) <= REACH)
    }
}

/// Groups events into acts, both with the newest first. An event joins the act of the next newer
/// event that it belongs with, so it does not matter where the reading starts.
pub(super) fn acts(rows: Vec<AuditRow>) -> Vec<Act> {
    let mut acts: Vec<Act> = Vec::new();
    let mut by_decision: HashMap<DecisionId, usize> = HashMap::new();
    let (mut second_steps, mut repeated, mut uploads): (Vec<usize>, Vec<usize>, Vec<usize>) =
        (Vec::new(), Vec::new(), Vec::new());
    for row in rows {
        let event = &row.event;
        let by_same = event
            .decision
            .and_then(|decision| by_decision.get(&decision).copied());
        let found = if is_first_step(event) {
            let second = second_steps.iter().rposition(|&index| {
                acts[index].is_near(&row) && is_soon_after(&acts[index].rows[0].event, event)
            });
            second.map(|place| second_steps.swap_remove(place))
        } else if is_use_for_upload(event) {
            // The decision about the file is not always the one that the token was checked for.
            let upload = uploads.iter().rposition(|&index| {
                let upload = &acts[index].rows[0].event;
                upload.actor.token() == event.actor.token() && is_soon_after(upload, event)
            });
            upload.map(|place| uploads.remove(place))
        } else if is_repeatable(event) {
            repeated.iter().rev().copied().find(|&index| {
                acts[index]
                    .rows
                    .last()
                    .is_some_and(|newer| is_repetition(&newer.event, event))
            })
        } else {
            None
        };
        let found = by_same.or(found).filter(|&index| acts[index].is_near(&row));
        let decision = event.decision;
        let index = match found {
            Some(index) => {
                acts[index].rows.push(row);
                index
            }
            None => {
                let index = acts.len();
                if matches!(
                    event.kind(),
                    EventKind::SessionStarted | EventKind::DeviceUnrecognized
                ) {
                    second_steps.push(index);
                }
                if is_repeatable(event) {
                    repeated.push(index);
                }
                if matches!(
                    event.kind(),
                    EventKind::FileUploaded | EventKind::FileStaged
                ) && event.actor.token().is_some()
                {
                    uploads.push(index);
                }
                acts.push(Act { rows: vec![row] });
                index
            }
        };
        if let Some(decision) = decision {
            by_decision.insert(decision, index);
        }
    }
    acts
}

/// A right password of a user who is then asked for a second factor.
fn is_first_step(event: &AuditEvent) -> bool {
    matches!(
        event.detail,
        Detail::AuthenticationSucceeded {
            second_factor: SecondStep::Pending,
            ..
        }
    )
}

/// A token that was accepted for an upload, whatever the result.
fn is_use_for_upload(event: &AuditEvent) -> bool {
    match &event.detail {
        Detail::AuthenticationSucceeded { action, .. } => {
            event.actor.token().is_some() && *action == Action::FileUpload
        }
        _ => false,
    }
}

/// Events that repeat without intent: a program keeps sending a password that no policy could
/// permit; a page and then its form ask for the same proof.
fn is_repeatable(event: &AuditEvent) -> bool {
    match &event.detail {
        Detail::AuthenticationFailed { reason, .. } => reason == "password-not-accepted",
        Detail::RequestRefused {
            credential,
            requires,
            ..
        } => *credential == CredentialKind::Session && !requires.is_empty(),
        _ => false,
    }
}

fn is_repetition(newer: &AuditEvent, older: &AuditEvent) -> bool {
    let is_same = match (&newer.detail, &older.detail) {
        (
            Detail::AuthenticationFailed { action, .. },
            Detail::AuthenticationFailed {
                action: earlier, ..
            },
        ) => action == earlier,
        (
            Detail::RequestRefused {
                action, requires, ..
            },
            Detail::RequestRefused {
                action: earlier,
                requires: required,
                ..
            },
        ) => action == earlier && requires == required,
        _ => false,
    };
    is_same && is_soon_after(newer, older)
}

/// From the same place, and not much later.
fn is_soon_after(newer: &AuditEvent, older: &AuditEvent) -> bool {
    is_same_place(newer, older) && (0..=SOON_MS).contains(&newer.at.0.saturating_sub(older.at.0))
}

fn is_same_place(one: &AuditEvent, other: &AuditEvent) -> bool {
    one.actor.place().is_some() && one.actor.place() == other.actor.place()
}

/// Whether another event of the same act already says the same, and better.
pub(super) fn is_told_by_others(event: &AuditEvent) -> bool {
    matches!(
        event.kind(),
        EventKind::AuthenticationSucceeded | EventKind::MailRequested
    )
}

#[cfg(test)]
mod tests {
    use model::audit::Actor;
    use model::{Timestamp, TokenId, UserId};
    use serde_json::json;

    use super::*;

    fn row(
        sequence: i64,
        kind: EventKind,
        token: Option<TokenId>,
        detail: serde_json::Value,
    ) -> AuditRow {
        let actor = Actor::Caller {
            user: Some(UserId::new()),
            token,
            remote_address: "192.0.2.1".into(),
            user_agent: "twine".into(),
        };
        let event = AuditEvent::new(Timestamp(sequence), actor, Detail::read(kind, &detail))
            .decided_by(DecisionId::new());
        AuditRow {
            sequence,
            event,
            stored: detail,
        }
    }

    fn sequences(rows: Vec<AuditRow>) -> Vec<Vec<i64>> {
        acts(rows)
            .iter()
            .map(|act| act.rows.iter().map(|row| row.sequence).collect())
            .collect()
    }

    #[test]
    fn an_upload_and_the_token_that_was_used_for_it_are_one_act() {
        let (one, other) = (Some(TokenId::new()), Some(TokenId::new()));
        let used = |sequence, token| {
            row(
                sequence,
                EventKind::AuthenticationSucceeded,
                token,
                json!({ "method": "api-token", "action": "file:upload" }),
            )
        };
        let uploaded = |sequence, token| {
            row(
                sequence,
                EventKind::FileUploaded,
                token,
                json!({ "file": "a.whl" }),
            )
        };
        let rows = vec![
            uploaded(9, one),
            uploaded(8, other),
            used(7, one),
            used(6, other),
            uploaded(5, one),
            used(4, one),
            used(3, one),
        ];
        assert_eq!(
            sequences(rows),
            [vec![9, 7], vec![8, 6], vec![5, 4], vec![3]],
            "a use without an upload stays an act of its own"
        );
        let read = row(
            1,
            EventKind::AuthenticationSucceeded,
            one,
            json!({ "method": "api-token", "action": "index:read" }),
        );
        assert_eq!(sequences(vec![uploaded(2, one), read]), [vec![2], vec![1]]);
    }
}
