//! Which events tell of one act: a person reads of it once.

use std::collections::HashMap;

use model::DecisionId;
use model::audit::{Actor, AuditEvent, EventKind};
use storage::audit::AuditRow;

/// How far apart, in sequence numbers, two events of one act stand at most. Between them are
/// those of others: an upload is long, and the token is looked at before it.
pub(super) const REACH: i64 = 256;
/// How long a first step of a login and its second one belong together.
const LOGIN_MS: i64 = 15 * 60 * 1000;

/// Events of one act, the newest first. Never empty.
pub(super) struct Act {
    pub(super) rows: Vec<AuditRow>,
}

impl Act {
    /// Where it stands in the history: at its newest event.
    pub(super) fn sequence(&self) -> i64 {
        self.rows[0].sequence
    }

    fn is_near(&self, row: &AuditRow) -> bool {
        self.rows.last().is_some_and(|oldest| oldest.sequence.saturating_sub(row.sequence) <= REACH)
    }
}

/// Sorts events, the newest first, into acts, the newest first. An event is of the act of
/// the next newer one that it belongs with, so it matters not where the reading begins.
pub(super) fn acts(rows: Vec<AuditRow>) -> Vec<Act> {
    let mut acts: Vec<Act> = Vec::new();
    let mut by_decision: HashMap<DecisionId, usize> = HashMap::new();
    let (mut second_steps, mut refused_unread): (Vec<usize>, Vec<usize>) = (Vec::new(), Vec::new());
    for row in rows {
        let event = &row.event;
        let by_same = event.decision.and_then(|decision| by_decision.get(&decision).copied());
        let found = if is_first_step(event) {
            let second = second_steps.iter().rposition(|&index| acts[index].is_near(&row) && is_second_step(&acts[index].rows[0].event, event));
            second.map(|place| second_steps.swap_remove(place))
        } else if is_refused_unread(event) {
            refused_unread.iter().rev().copied().find(|&index| acts[index].rows.last().is_some_and(|newer| is_same_sender(&newer.event, event)))
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
                if matches!(event.kind, EventKind::SessionStarted | EventKind::DeviceUnrecognized) {
                    second_steps.push(index);
                }
                if is_refused_unread(event) {
                    refused_unread.push(index);
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

/// A right password of somebody who is asked for a second factor then.
fn is_first_step(event: &AuditEvent) -> bool {
    event.kind == EventKind::AuthenticationSucceeded && event.detail["second-factor"] == "pending"
}

fn is_second_step(second: &AuditEvent, first: &AuditEvent) -> bool {
    is_same_place(second, first) && (0..=LOGIN_MS).contains(&second.at.0.saturating_sub(first.at.0))
}

/// A password that no policy could permit, sent by a program that will go on sending it.
fn is_refused_unread(event: &AuditEvent) -> bool {
    event.kind == EventKind::AuthenticationFailed && event.detail["reason"] == "password-not-accepted"
}

fn is_same_sender(one: &AuditEvent, other: &AuditEvent) -> bool {
    is_refused_unread(one) && one.detail["action"] == other.detail["action"] && is_same_place(one, other)
}

fn is_same_place(one: &AuditEvent, other: &AuditEvent) -> bool {
    match (&one.actor, &other.actor) {
        (Actor::Caller { remote_address, user_agent, .. }, Actor::Caller { remote_address: address, user_agent: agent, .. }) => {
            remote_address == address && user_agent == agent
        }
        _ => false,
    }
}

/// Whether it says no more than what another event of the same act says better.
pub(super) fn is_told_by_others(event: &AuditEvent) -> bool {
    matches!(event.kind, EventKind::AuthenticationSucceeded | EventKind::MailRequested)
}
