//! One request from the view of this crate's use cases, and the only way in which they refuse.
//!
//! An entry point takes a [`RequestContext`] and turns it into a [`UseCase`]. The work is in a
//! function that ends with `Ok` or with a [`Stop`], so `?` works throughout; [`UseCase::answer`]
//! turns that into the caller's answer, and records what must be recorded.
//!
//! Invariant: a credential that was not accepted leaves this crate through [`UseCase::refuse`] or
//! through [`UseCase::audit_failure`], so it is recorded. An entry point that does not answer a
//! [`Stop`] does not compile, since that is no public type.

use gate::{Attempt, Gate, Permit, Refusal, RefusalKind, Target};
use model::audit::Detail;
use model::{Action, Assurance, Caller, CredentialKind, Principal, UserId};
use storage::StorageError;

use crate::limits::{Counter, Taken};
use crate::named::Login;
use crate::refusals::Failure;
use crate::{Identity, limits};

/// A request and the gate that decides about it.
#[derive(Clone, Copy)]
pub struct RequestContext<'a> {
    pub(crate) gate: &'a Gate,
    pub(crate) attempt: &'a Attempt,
}

impl<'a> RequestContext<'a> {
    pub fn new(gate: &'a Gate, attempt: &'a Attempt) -> Self {
        Self { gate, attempt }
    }
}

/// The task of a request in this crate.
#[derive(Clone, Copy)]
pub(crate) struct UseCase<'a> {
    identity: &'a Identity,
    pub(crate) gate: &'a Gate,
    pub(crate) attempt: &'a Attempt,
    pub(crate) action: Action,
    /// The credential kind to record for refusals that checked no credential.
    pub(crate) credential: CredentialKind,
}

/// Why a use case ends early. `P` is the answer of its entry point.
#[derive(Debug)]
pub(crate) enum Stop<P = Refusal> {
    /// Not accepted: recorded and refused.
    Failure(Box<Failure>),
    /// Not accepted: counted against the address, recorded and refused.
    Counted(Box<Failure>),
    /// Not accepted: recorded, and answered in the words of the entry point.
    Recorded(Box<Failure>, P),
    /// Storage failed: recorded and refused as a credential that could not be checked, for this
    /// user if known by then.
    Storage(StorageError, Option<UserId>),
    /// Nothing is left to record: it was decided, or the entry point answers it itself.
    Ended(P),
}

/// The answer of an entry point when its use case stops.
pub(crate) trait Ending: From<Refusal> {
    /// Whether a storage failure has an answer of its own, or is a refusal.
    fn of_storage(error: StorageError) -> Stop<Self>;
}

impl Ending for Refusal {
    fn of_storage(error: StorageError) -> Stop<Self> {
        Stop::Storage(error, None)
    }
}

/// For entry points that report storage failures themselves.
macro_rules! ends_with {
    ($problem:ty) => {
        impl crate::request::Ending for $problem {
            fn of_storage(error: storage::StorageError) -> crate::request::Stop<Self> {
                crate::request::Stop::Ended(error.into())
            }
        }

        impl From<$problem> for crate::request::Stop<$problem> {
            fn from(problem: $problem) -> Self {
                Self::Ended(problem)
            }
        }
    };
}

pub(crate) use ends_with;

impl<P> From<Failure> for Stop<P> {
    fn from(failure: Failure) -> Self {
        Self::Failure(Box::new(failure))
    }
}

impl<P> Stop<P> {
    /// Not accepted, and counted against the address.
    pub(crate) fn counted(failure: Failure) -> Self {
        Self::Counted(Box::new(failure))
    }

    /// Not accepted, and answered in the words of the entry point.
    pub(crate) fn recorded(failure: Failure, answer: P) -> Self {
        Self::Recorded(Box::new(failure), answer)
    }
}

impl<P: From<Refusal>> From<Refusal> for Stop<P> {
    fn from(refusal: Refusal) -> Self {
        Self::Ended(refusal.into())
    }
}

impl<P: Ending> From<StorageError> for Stop<P> {
    fn from(error: StorageError) -> Self {
        P::of_storage(error)
    }
}

/// Attaches a user to a stop.
pub(crate) trait Concerning<T, P> {
    /// The same, for this user.
    fn of(self, user: UserId) -> Result<T, Stop<P>>;
}

impl<T, P, E: Into<Stop<P>>> Concerning<T, P> for Result<T, E> {
    fn of(self, user: UserId) -> Result<T, Stop<P>> {
        self.map_err(|stopped| match stopped.into() {
            Stop::Failure(failure) => failure.of(user).into(),
            Stop::Counted(failure) => Stop::counted(failure.of(user)),
            Stop::Recorded(failure, answer) => Stop::recorded(failure.of(user), answer),
            Stop::Storage(error, _) => Stop::Storage(error, Some(user)),
            Stop::Ended(answer) => Stop::Ended(answer),
        })
    }
}

impl Identity {
    /// What this request asks for.
    pub(crate) fn use_case<'a>(
        &'a self,
        context: RequestContext<'a>,
        action: Action,
        credential: CredentialKind,
    ) -> UseCase<'a> {
        let RequestContext { gate, attempt } = context;
        UseCase {
            identity: self,
            gate,
            attempt,
            action,
            credential,
        }
    }
}

impl UseCase<'_> {
    /// Ends an entry point: the only place where a [`Stop`] becomes an answer.
    pub(crate) async fn answer<T, P: From<Refusal>>(
        &self,
        result: Result<T, Stop<P>>,
    ) -> Result<T, P> {
        let failure = match result {
            Ok(done) => return Ok(done),
            Err(Stop::Ended(answer)) => return Err(answer),
            Err(Stop::Recorded(failure, answer)) => {
                let _recorded = self.refuse(*failure).await;
                return Err(answer);
            }
            Err(Stop::Counted(failure)) => {
                return Err(self.refuse_counted(*failure).await.into());
            }
            Err(Stop::Failure(failure)) => *failure,
            Err(Stop::Storage(error, user)) => Failure {
                user,
                ..Failure::unavailable(self.credential, &error)
            },
        };
        Err(self.refuse(failure).await.into())
    }

    /// Lets the gate decide.
    pub(crate) async fn decide<T: Target>(
        &self,
        caller: &Caller,
        target: T,
    ) -> Result<Permit<T>, Refusal> {
        self.gate.decide(self.attempt, caller, target).await
    }

    /// Whether any policy could permit this with such a credential. If none could, it is not
    /// checked.
    pub(crate) fn may_permit(&self, credential: CredentialKind) -> bool {
        self.gate.may_permit(self.attempt, self.action, credential)
    }

    /// Stops where no policy could permit this to a person.
    pub(crate) fn expect_person<P>(&self) -> Result<(), Stop<P>> {
        match self.may_permit(CredentialKind::Session) {
            true => Ok(()),
            false => Err(Stop::counted(Failure::person_not_accepted())),
        }
    }

    /// Takes one from each of these counters, or stops.
    pub(crate) async fn take<P: Ending>(&self, counters: &[Counter]) -> Result<Taken, Stop<P>> {
        let identity = self.identity;
        let taken = limits::take(identity.storage(), counters, identity.now()).await?;
        taken.map_err(|too_many| Failure::limited(self.credential, too_many).into())
    }

    /// Records a failed authentication and refuses.
    pub(crate) async fn refuse(&self, failure: Failure) -> Refusal {
        self.audit_failure(&failure).await;
        self.gate
            .refuse_as(
                self.attempt,
                &nobody_with(failure.credential),
                self.action,
                failure.kind,
                failure.reason,
            )
            .await
    }

    /// Records a failed authentication.
    pub(crate) async fn audit_failure(&self, failure: &Failure) {
        let Self {
            gate,
            attempt,
            action,
            ..
        } = *self;
        let caller = nobody_with(failure.credential);
        // Callers who have to wait can be refused any number of times, which must not fill a
        // history.
        let was_looked_at = !matches!(failure.kind, RefusalKind::Limited { .. });
        let recorder = gate.recorder();
        let named = failure.user.filter(|user| {
            recorder.wants_failure_of(
                *user,
                failure.why,
                failure.factor,
                was_looked_at,
                attempt.at,
            )
        });
        let user = if was_looked_at { failure.user } else { named };
        let is_wanted = recorder.wants_refusal(attempt, &caller, action);
        if !is_wanted && named.is_none() {
            return;
        }
        let failed = Detail::AuthenticationFailed {
            method: failure.credential.into(),
            second_factor: failure.factor.map(Into::into),
            reason: failure.why.to_owned(),
            action: action.into(),
            route: Some(attempt.route.to_owned()),
        };
        let event = attempt.event(&caller, failed).about(user);
        if !is_wanted {
            // Not waited for: the time of the answer must not reveal that an account is named.
            recorder.note(event);
        } else if let Err(error) = recorder.audit(event).await {
            // The answer is a refusal either way; it must not turn into anything else.
            tracing::error!(decision = %attempt.id, %error, "a failed authentication could not be recorded");
        }
    }

    /// Like [`UseCase::refuse`], but counted: an address that keeps failing has to wait.
    pub(crate) async fn refuse_counted(&self, failure: Failure) -> Refusal {
        let failure = self.counted(failure, None).await;
        self.refuse(failure).await
    }

    /// Like [`UseCase::refuse_counted`], for a password that is not checked: the named user sees it
    /// in their history, because it may be stored in a program that they forgot. The answer and its
    /// time are the same for a name that does not exist.
    pub(crate) async fn refuse_unread(&self, failure: Failure, name: &str) -> Refusal {
        self.identity
            .answer_evenly(async {
                let failure = self.counted(failure, Some(name)).await;
                self.refuse(failure).await
            })
            .await
    }

    /// Counts a failure against its address: returns the same failure, with the user of the given
    /// name, or that there were too many.
    pub(crate) async fn counted(&self, failure: Failure, name: Option<&str>) -> Failure {
        let identity = self.identity;
        let counter = identity
            .config()
            .limits
            .refused_from(self.attempt.remote_address);
        let looked = async {
            Ok(
                match limits::take(identity.storage(), &[counter], identity.now()).await? {
                    Ok(_counted) => Ok(match name {
                        Some(name) => identity
                            .proofs()
                            .named(&Login::parse(name))
                            .await?
                            .map(|user| user.id),
                        None => failure.user,
                    }),
                    Err(too_many) => Err(too_many),
                },
            )
        };
        match looked.await {
            Ok(Ok(user)) => Failure { user, ..failure },
            Ok(Err(too_many)) => Failure::limited(failure.credential, too_many),
            Err(error) => Failure::unavailable(failure.credential, &error),
        }
    }

    /// Records a successful authentication, and fails without the record. Above a rate per user, it
    /// is only counted, and the count is recorded.
    pub(crate) async fn admit(&self, caller: Caller) -> Result<Caller, Failure> {
        let recorder = self.gate.recorder();
        if recorder.wants_authentication(self.attempt, &caller, self.action) {
            self.audit_admission(&caller).await?;
        }
        Ok(caller)
    }

    /// Records a successful authentication.
    pub(crate) async fn audit_admission(&self, caller: &Caller) -> Result<(), Failure> {
        let factor = caller.assurance.second_factor.map(|used| used.factor);
        let succeeded = Detail::AuthenticationSucceeded {
            method: caller.credential.into(),
            second_factor: factor.into(),
            action: self.action.into(),
            route: self.attempt.route.to_owned(),
        };
        let event = self
            .attempt
            .event(caller, succeeded)
            .about(caller.user().map(|user| user.id));
        self.gate
            .recorder()
            .audit(event)
            .await
            .map_err(|error| Failure::unavailable(caller.credential, &error))
    }
}

/// An anonymous caller: the claim of the credential was not proven.
fn nobody_with(credential: CredentialKind) -> Caller {
    Caller {
        credential,
        principal: Principal::Anonymous,
        token: None,
        session: None,
        assurance: Assurance::NONE,
    }
}
