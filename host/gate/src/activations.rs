//! Which stored set is the active one: applying a set, rolling back to one, and activations by a
//! server itself. Servers follow them ([`crate::Gate::follow_activations`]).

use std::fmt;

use model::Action;
use model::audit::{AuditEvent, Detail};
use policy_engine::Engine;
use storage::policies::{ActivationKind, ActivationRow, NewActivation};
use storage::{Storage, StorageError, UnitOfWork};

use crate::generations::{InstallError, load_set};
use crate::judgement::Judgement;
use crate::package::VerifiedPackage;
use crate::permit::Permit;
use crate::target::{Target, TargetFacts};

/// Most activations to search for the set to roll back to.
const LOOK_BACK: u32 = 1000;

/// A set that may become the active one: it locks nobody out, or the operator accepts that.
pub struct Candidate {
    verified: VerifiedPackage,
    judgement: Judgement,
}

/// The set is refused: a policy fails, or nobody could do an action that every registry needs.
#[derive(Debug)]
pub struct LockedOut(pub Judgement);

impl fmt::Display for LockedOut {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

impl std::error::Error for LockedOut {}

impl Candidate {
    /// Judges the set; blocking. With `allow_lockout` the operator accepts the grounds for refusing
    /// it.
    pub fn judge(verified: VerifiedPackage, allow_lockout: bool) -> Result<Self, LockedOut> {
        let judgement = verified.judge();
        match judgement.refuses() && !allow_lockout {
            true => Err(LockedOut(judgement)),
            false => Ok(Self {
                verified,
                judgement,
            }),
        }
    }

    /// The set.
    pub fn verified(&self) -> &VerifiedPackage {
        &self.verified
    }

    /// What was found about it.
    pub fn judgement(&self) -> &Judgement {
        &self.judgement
    }
}

/// Store a set and make it the active one.
pub struct ApplySet {
    candidate: Candidate,
    reason: String,
}

/// Make a stored set the active one again.
#[derive(Debug)]
pub struct RollBack {
    to: Option<u64>,
    reason: String,
}

impl ApplySet {
    /// `reason` is for the history.
    pub fn new(candidate: Candidate, reason: &str) -> Self {
        Self {
            candidate,
            reason: reason.to_owned(),
        }
    }
}

impl RollBack {
    /// Rolls back to set `to`, or else to the one that the active one replaced; `reason` is for the
    /// history.
    pub fn new(to: Option<u64>, reason: &str) -> Self {
        Self {
            to,
            reason: reason.to_owned(),
        }
    }

    /// The set it leads to. Also for the command line, which checks first because its permits are
    /// logged even if they are not used.
    pub async fn check(&self, storage: &Storage) -> Result<u64, RollBackError> {
        let active = storage
            .active_set()
            .await?
            .ok_or(RollBackError::NothingActive)?;
        let number = match self.to {
            Some(number) => number,
            None => {
                let nothing = RollBackError::NothingBefore {
                    active: active.set_number,
                };
                let activations = storage.activations(None, LOOK_BACK).await?;
                let before = set_before(&activations).ok_or(nothing)?;
                u64::try_from(before).map_err(|_| RollBackError::NoSuchSet(0))?
            }
        };
        let no_such_set = || RollBackError::NoSuchSet(number);
        let stored = i64::try_from(number).map_err(|_| no_such_set())?;
        if storage.policy_set(stored).await?.is_none() {
            return Err(no_such_set());
        }
        Ok(number)
    }
}

impl Target for ApplySet {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts::of(Action::PolicySetActivate)
    }
}

impl Target for RollBack {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts::of(Action::PolicySetActivate)
    }
}

/// A set that servers were asked to serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Activated {
    /// Number of the set.
    pub number: u64,
    /// Sequence of the activation.
    pub sequence: i64,
}

/// Why a rollback is not possible.
#[derive(Debug, thiserror::Error)]
pub enum RollBackError {
    #[error("no policy set was ever active, so there is nothing to roll back to")]
    NothingActive,
    #[error("there is no set before set {active}")]
    NothingBefore { active: i64 },
    #[error("there is no policy set {0}")]
    NoSuchSet(u64),
    #[error("set {number} cannot be loaded; nothing changes")]
    CannotLoad {
        number: u64,
        #[source]
        cause: InstallError,
    },
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Stores the set and asks all servers on the database to serve it. `portcullis policy status`
/// shows when they do so.
pub async fn apply(permit: Permit<ApplySet>, storage: &Storage) -> Result<Activated, StorageError> {
    let ApplySet { candidate, reason } = permit.target();
    let number = candidate
        .verified
        .store(storage, permit.actor(), permit.at())
        .await?;
    activate(&permit, storage, number, ActivationKind::Apply, reason).await
}

/// Asks all servers on the database to serve an earlier set again. An old set may not load in this
/// version, so it is loaded here before every server tries.
pub async fn roll_back(
    permit: Permit<RollBack>,
    storage: &Storage,
    engine: &Engine,
) -> Result<Activated, RollBackError> {
    let number = permit.target().check(storage).await?;
    load_set(storage, engine, number)
        .await
        .map_err(|cause| RollBackError::CannotLoad { number, cause })?;
    let kind = ActivationKind::Rollback;
    let reason = &permit.target().reason;
    Ok(activate(&permit, storage, number, kind, reason).await?)
}

async fn activate<T>(
    permit: &Permit<T>,
    storage: &Storage,
    number: u64,
    kind: ActivationKind,
    reason: &str,
) -> Result<Activated, StorageError> {
    let mut unit = permit.begin(storage).await?;
    let new = NewActivation {
        set_number: stored(number)?,
        at: permit.at(),
        by: permit.user(),
        kind,
        reason,
    };
    let sequence = unit.activate_policy_set(&new, None).await?;
    unit.commit(&permit.event(detail_of(&new))).await?;
    Ok(Activated { number, sequence })
}

/// Makes set `number` the active one of a server that begins without any; returns the activation's
/// sequence. The gate does not decide this: no set is served yet that could.
pub async fn activate_first(
    storage: &Storage,
    number: u64,
    at: model::Timestamp,
) -> Result<i64, StorageError> {
    let new = NewActivation {
        set_number: stored(number)?,
        at,
        by: None,
        kind: ActivationKind::Start,
        reason: "",
    };
    by_the_server(storage.begin().await?, &new, None).await
}

/// Makes a set from a watched folder the active one, only while `expected` (the sequence of an
/// activation, 0: none) is in force; `Conflict::Raced` if it no longer is. So only one of several
/// servers that watch the same folder activates the set. Write access to the folder is the
/// permission for it.
pub async fn activate_watched(
    storage: &Storage,
    number: u64,
    at: model::Timestamp,
    folder: &str,
    expected: i64,
) -> Result<i64, StorageError> {
    let new = NewActivation {
        set_number: stored(number)?,
        at,
        by: None,
        kind: ActivationKind::Watch,
        reason: folder,
    };
    by_the_server(storage.begin().await?, &new, Some(expected)).await
}

async fn by_the_server(
    mut unit: UnitOfWork,
    new: &NewActivation<'_>,
    expected: Option<i64>,
) -> Result<i64, StorageError> {
    let sequence = unit.activate_policy_set(new, expected).await?;
    unit.commit(&AuditEvent::of_server(new.at, detail_of(new)))
        .await?;
    Ok(sequence)
}

fn detail_of(new: &NewActivation<'_>) -> Detail {
    let (set, reason) = (new.set_number, new.reason.to_owned());
    match new.kind {
        ActivationKind::Rollback => Detail::PolicySetRolledBack { set, reason },
        ActivationKind::Apply | ActivationKind::Start | ActivationKind::Watch => {
            Detail::PolicySetActivated { set, reason }
        }
    }
}

fn stored(number: u64) -> Result<i64, StorageError> {
    i64::try_from(number).map_err(|error| StorageError::Corrupt(error.to_string()))
}

/// The set that the active one replaced. Rolling back undoes the steps one by one, so that rolling
/// back twice ends two sets earlier and not where it began. `activations` are newest first.
fn set_before(activations: &[ActivationRow]) -> Option<i64> {
    let mut steps: Vec<i64> = Vec::new();
    for activation in activations.iter().rev() {
        let number = activation.set_number;
        match (
            activation.kind,
            steps.iter().rposition(|step| *step == number),
        ) {
            (ActivationKind::Rollback, Some(position)) => steps.truncate(position + 1),
            _ if steps.last() == Some(&number) => {}
            _ => steps.push(number),
        }
    }
    steps.iter().rev().nth(1).copied()
}

#[cfg(test)]
mod tests {
    use model::Timestamp;

    use super::*;

    fn activations(chronicle: &[(i64, ActivationKind)]) -> Vec<ActivationRow> {
        let row = |(sequence, (set_number, kind)): (usize, &(i64, ActivationKind))| ActivationRow {
            sequence: sequence as i64 + 1,
            set_number: *set_number,
            set_name: "set".to_owned(),
            at: Timestamp(0),
            by: None,
            kind: *kind,
            reason: String::new(),
        };
        chronicle.iter().enumerate().map(row).rev().collect()
    }

    #[test]
    fn going_back_again_goes_further_back() {
        use ActivationKind::{Apply, Rollback, Start};
        let cases: [(&[(i64, ActivationKind)], Option<i64>); 9] = [
            (&[], None),
            (&[(1, Start)], None),
            (&[(1, Start), (2, Apply)], Some(1)),
            (&[(1, Start), (2, Apply), (3, Apply)], Some(2)),
            (
                &[(1, Start), (2, Apply), (3, Apply), (2, Rollback)],
                Some(1),
            ),
            (
                &[
                    (1, Start),
                    (2, Apply),
                    (3, Apply),
                    (2, Rollback),
                    (1, Rollback),
                ],
                None,
            ),
            // A set that was rolled back is skipped; a set applied after it is not.
            (
                &[(1, Start), (2, Apply), (1, Rollback), (3, Apply)],
                Some(1),
            ),
            // The same set applied twice in a row is one step.
            (&[(1, Start), (2, Apply), (2, Apply)], Some(1)),
            // Rolling back to a set that was rolled back before is a step forward.
            (
                &[(1, Start), (2, Apply), (1, Rollback), (2, Rollback)],
                Some(1),
            ),
        ];
        for (chronicle, before) in cases {
            assert_eq!(set_before(&activations(chronicle)), before, "{chronicle:?}");
        }
    }
}
