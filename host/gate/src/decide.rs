//! The one function that makes permits.

mod judge;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use arc_swap::{ArcSwap, ArcSwapOption};
use model::audit::detail::Demand;
use model::audit::{Detail, Word};
use model::{Action, Caller, Clock, CredentialKind, DecisionId, Timestamp};
use policy_engine::contract::{Context, Outcome, Page, Reason, Requirement, Sections};
use policy_engine::{DecisionOutcome, Grade};
use storage::Storage;
use storage::decisions::DecisionRow;
use storage::policies::WatchedFolder;

use crate::attempt::{Attempt, Method};
use crate::context;
use crate::core_rules;
use crate::decision_metrics::DecisionMetrics;
use crate::generations::Active;
use crate::permit::{Grant, Permit};
use crate::recorder::{DecisionRecord, Recorder};
use crate::refusal::{Refusal, RefusalKind};
use crate::set_aside::{self, SetAside};
use crate::target::{Target, TargetFacts};
use crate::token_use;
use judge::{Allowed, Refused};

/// Identifies this server process among those that share the database.
#[derive(Clone, Debug)]
pub struct ServerIdentity {
    /// New at each start.
    pub id: model::ServerId,
    /// Name of the host, for people.
    pub host: String,
    /// Process id.
    pub pid: u32,
    /// When the process started.
    pub started_at: Timestamp,
}

/// The parts of a gate.
pub struct GateConfig {
    pub storage: Storage,
    pub engine: policy_engine::Engine,
    pub recorder: Recorder,
    pub clock: Arc<dyn Clock>,
    pub server: ServerIdentity,
}

/// Decides every request. Cheap to clone.
#[derive(Clone)]
pub struct Gate {
    pub(crate) inner: Arc<GateInner>,
}

pub(crate) struct GateInner {
    pub(crate) config: GateConfig,
    pub(crate) active: ArcSwap<Active>,
    /// One installation at a time. Holds the last failure, which heartbeats report.
    pub(crate) installing: tokio::sync::Mutex<Option<crate::generations::LastFailure>>,
    /// What this server found in the folder it watches, which heartbeats report.
    pub(crate) watched: ArcSwapOption<WatchedFolder>,
    pub(crate) metrics: DecisionMetrics,
}

impl Gate {
    /// A gate without an active set: every decision fails until one is installed.
    pub fn new(config: GateConfig) -> Self {
        let inner = GateInner {
            config,
            active: ArcSwap::from_pointee(Active::NONE),
            installing: tokio::sync::Mutex::new(None),
            watched: ArcSwapOption::empty(),
            metrics: DecisionMetrics::new(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Begins a request: gives it an id and the time.
    pub fn begin(
        &self,
        route: &'static str,
        method: Method,
        remote_address: IpAddr,
        user_agent: &str,
    ) -> Attempt {
        Attempt::new(
            self.clock().now(),
            route,
            method,
            remote_address,
            user_agent,
            self.inner.active.load().number(),
        )
    }

    /// The same request now, see [`Attempt::renewed`].
    pub fn renew(&self, attempt: &Attempt) -> Attempt {
        attempt.renewed(self.clock().now())
    }

    /// Decides whether `caller` may do what `target` says.
    ///
    /// Core rules first (caveats, roles, project status), then the policies of the set that serves
    /// now, then obligations. Never an error: a decision that cannot be made is a refusal of kind
    /// `Failed`. No database transaction is open while a policy runs.
    ///
    /// A refused read is decided again without its credential: a credential takes away nothing that
    /// anonymous callers may read. If they may not read it, the first refusal stays.
    ///
    /// Invariant: a change is decided by the activation that is the newest in the database at that
    /// moment, and the permit's unit of work is committed only while it is the newest: see
    /// [`Permit::begin`] and `Gate::catch_up`.
    pub async fn decide<T: Target>(
        &self,
        attempt: &Attempt,
        caller: &Caller,
        target: T,
    ) -> Result<Permit<T>, Refusal> {
        let decision = attempt.next_decision();
        let facts = target.facts();
        let action = facts.action;
        note_project(attempt, &facts);
        let judged = match self.judge(attempt, caller, decision, &facts).await {
            Err(refused) if set_aside::can_do_without(caller, action) => {
                // Decided as an anonymous read: the role it was loaded with must have no part in
                // it.
                let nobodys = (Caller::anonymous(), set_aside::without_role(facts.clone()));
                match self.judge(attempt, &nobodys.0, decision, &nobodys.1).await {
                    Ok(allowed) => Ok((
                        allowed,
                        Some((nobodys, SetAside::of(caller, refused.code()))),
                    )),
                    Err(_) => Err(refused),
                }
            }
            judged => judged.map(|allowed| (allowed, None)),
        };
        let (
            Allowed {
                number,
                activation,
                context,
                decided,
            },
            without,
        ) = match judged {
            Ok(allowed) => allowed,
            Err(refused) => {
                return Err(self
                    .refused(attempt, caller, decision, &facts, refused)
                    .await);
            }
        };
        let set_aside = without
            .as_ref()
            .map(|(_, set_aside)| set_aside)
            .or(attempt.set_aside().filter(|_| action.is_read()));
        let (caller, facts) = without
            .as_ref()
            .map_or((caller, &facts), |((nobody, facts), _)| (nobody, facts));
        let permitted_word = if matches!(decided.outcome, DecisionOutcome::Staged) {
            "staged"
        } else {
            "permitted"
        };
        self.inner.metrics.count(action, permitted_word);
        let is_read = is_read(attempt, action);
        // Checked last: a refused action changes nothing, so it does not count.
        if !is_read && !self.recorder().may_change(attempt, caller, action) {
            let reason = own_reason(
                "too-many-changes",
                "Your account was changed too often.",
                "Wait a minute, then try again; after many changes, until tomorrow.",
                Some(Page::Contact),
            );
            let kind = RefusalKind::Limited {
                retry_after_seconds: 60,
            };
            return Err(self
                .refusal(attempt, caller, decision, facts, kind, vec![reason], None)
                .await);
        }
        let mut grant = Grant {
            decision,
            set_number: number,
            activation: Some(activation),
            at: attempt.at,
            staged: matches!(decided.outcome, DecisionOutcome::Staged),
            reasons: decided.reasons.clone(),
            warnings: decided.warnings.clone(),
            actor: attempt.actor(caller),
            assurance: caller.assurance,
            session: caller.session,
            token: caller.token.as_ref().map(|token| token.id),
            is_without_credential: set_aside.is_some(),
            unrecorded: None,
        };
        // Anonymous reads are recorded up to a rate, or anybody could fill the log by loading
        // pages; actions with a credential have a rate of their own.
        let is_anonymous_read = is_read && caller.credential == CredentialKind::None;
        if is_anonymous_read {
            // A policy on trial is there to show what it would refuse.
            let is_telling = would_refuse(&context, &decided).is_some()
                && self.recorder().wants_refusal(attempt, caller, action);
            let is_noted = set_aside
                .filter(|set_aside| self.recorder().wants_set_aside(attempt, set_aside, action));
            if is_telling || is_noted.is_some() || self.recorder().wants_read(attempt.at) {
                let mut record = self.record(
                    attempt,
                    caller,
                    decision,
                    facts,
                    permitted_word,
                    Some((context, decided)),
                    None,
                );
                record.set_aside = set_aside.cloned();
                self.recorder().read(record);
            }
            // Not awaited: the duration of a read must not depend on the credential that came with
            // it.
            if let Some(set_aside) = is_noted.filter(|set_aside| set_aside.user.is_some()) {
                self.recorder()
                    .note(set_aside.event(attempt, action, decision));
            }
        } else if self
            .recorder()
            .wants_success(attempt, caller, action, is_read)
        {
            let record = self.record(
                attempt,
                caller,
                decision,
                facts,
                permitted_word,
                Some((context, decided)),
                None,
            );
            self.recorder().decision(record).await;
        } else if !is_read {
            let record = self.record(
                attempt,
                caller,
                decision,
                facts,
                permitted_word,
                Some((context, decided)),
                None,
            );
            grant.unrecorded = Some(Box::new(record.into_row()));
        }
        token_use::note(self.storage(), caller, attempt.at).await;
        drop(without);
        Ok(Permit::new(target, grant))
    }

    /// Only the core rules, without a decision: used before costly preparation of a
    /// target (reading an archive) that a caller without any role must not be able to
    /// cause. The refusal is recorded like any other.
    pub async fn check_core<T: Target>(
        &self,
        attempt: &Attempt,
        caller: &Caller,
        target: &T,
    ) -> Result<(), Refusal> {
        let facts = target.facts();
        note_project(attempt, &facts);
        match core_rules::check(attempt.at, caller, &facts) {
            Ok(()) => Ok(()),
            Err(reason) => Err(self
                .refuse_by_core(attempt, caller, attempt.next_decision(), &facts, *reason)
                .await),
        }
    }

    /// Only the caveats of a token that do not depend on the project, before a body is read. The
    /// refusal is recorded like any other.
    pub async fn check_token(
        &self,
        attempt: &Attempt,
        caller: &Caller,
        action: Action,
    ) -> Result<(), Refusal> {
        match core_rules::check_token(attempt.at, caller) {
            Ok(()) => Ok(()),
            Err(reason) => Err(self
                .refuse_by_core(
                    attempt,
                    caller,
                    attempt.next_decision(),
                    &TargetFacts::of(action),
                    *reason,
                )
                .await),
        }
    }

    /// Refuses and records, on behalf of the core: the credential was not accepted at
    /// all (unknown token, wrong password, password where no policy could permit one).
    #[allow(clippy::too_many_arguments)]
    pub async fn refuse(
        &self,
        attempt: &Attempt,
        caller: &Caller,
        action: Action,
        code: &str,
        message: &str,
        remedy: &str,
        page: Option<Page>,
    ) -> Refusal {
        let facts = TargetFacts::of(action);
        self.refuse_by_core(
            attempt,
            caller,
            attempt.next_decision(),
            &facts,
            own_reason(code, message, remedy, page),
        )
        .await
    }

    /// Like [`Gate::refuse`], with another kind: too many attempts, or a decision that cannot be
    /// made.
    pub async fn refuse_as(
        &self,
        attempt: &Attempt,
        caller: &Caller,
        action: Action,
        kind: RefusalKind,
        reason: Reason,
    ) -> Refusal {
        self.inner.metrics.count(action, outcome_word(&kind));
        self.refusal(
            attempt,
            caller,
            attempt.next_decision(),
            &TargetFacts::of(action),
            kind,
            vec![reason],
            None,
        )
        .await
    }

    /// Whether the set that serves could permit this kind of credential for the action at
    /// all. Only ever used to save work and to refuse early.
    pub fn may_permit(
        &self,
        _attempt: &Attempt,
        action: Action,
        credential: CredentialKind,
    ) -> bool {
        self.could_permit(action, credential)
    }

    /// The same without a request, for descriptions of the registry.
    pub fn could_permit(&self, action: Action, credential: CredentialKind) -> bool {
        let active = self.inner.active.load();
        active.generation.as_ref().is_some_and(|generation| {
            generation
                .set()
                .may_permit(context::action(action), context::credential(credential))
        })
    }

    /// Whether the set that serves denies this kind of credential the action, whatever the facts.
    /// False if no set serves: then nothing is decided.
    pub fn never_permits(&self, action: Action, credential: CredentialKind) -> bool {
        let active = self.inner.active.load();
        active.generation.as_ref().is_some_and(|generation| {
            !generation
                .set()
                .may_permit(context::action(action), context::credential(credential))
        })
    }

    /// The database, for use cases that need facts besides those of the gate.
    pub fn storage(&self) -> &Storage {
        &self.inner.config.storage
    }

    /// The clock.
    pub fn clock(&self) -> &dyn Clock {
        &*self.inner.config.clock
    }

    /// Durable audit of events that are not changes (authentications, refusals). Returns when it is
    /// committed; many callers share one commit.
    pub fn recorder(&self) -> &Recorder {
        &self.inner.config.recorder
    }

    /// Records a refusal by [`Self::judge`] and returns it.
    async fn refused(
        &self,
        attempt: &Attempt,
        caller: &Caller,
        decision: DecisionId,
        facts: &TargetFacts<'_>,
        refused: Refused,
    ) -> Refusal {
        // A reader without a credential, or with one that was not accepted, is asked for one.
        let is_nobodys_read = facts.action.is_read() && caller.credential == CredentialKind::None;
        let kind = match refused.kind {
            RefusalKind::Denied | RefusalKind::Required(_) if is_nobodys_read => {
                RefusalKind::CredentialRequired
            }
            kind => kind,
        };
        self.inner.metrics.count(facts.action, outcome_word(&kind));
        self.refusal(
            attempt,
            caller,
            decision,
            facts,
            kind,
            refused.reasons,
            refused.decided,
        )
        .await
    }

    async fn refuse_by_core(
        &self,
        attempt: &Attempt,
        caller: &Caller,
        decision: DecisionId,
        facts: &TargetFacts<'_>,
        reason: Reason,
    ) -> Refusal {
        self.inner.metrics.count(facts.action, "denied");
        self.refusal(
            attempt,
            caller,
            decision,
            facts,
            RefusalKind::Denied,
            vec![reason],
            None,
        )
        .await
    }

    /// Records a refusal, decision and audit event, and waits until both are committed.
    #[allow(clippy::too_many_arguments)]
    async fn refusal(
        &self,
        attempt: &Attempt,
        caller: &Caller,
        decision: DecisionId,
        facts: &TargetFacts<'_>,
        kind: RefusalKind,
        mut reasons: Vec<Reason>,
        decided: Option<(Context, policy_engine::Decision)>,
    ) -> Refusal {
        if reasons.is_empty() {
            reasons.push(match kind {
                RefusalKind::Failed => own_reason(
                    "policy-failed",
                    "The request could not be decided.",
                    "Try again in a moment.",
                    Some(Page::Contact),
                ),
                _ => own_reason(
                    "refused",
                    "A policy of this registry refuses this.",
                    "Ask the operators of the registry.",
                    Some(Page::Contact),
                ),
            });
        }
        let set_number = decided.as_ref().map_or_else(
            || self.inner.active.load().number(),
            |(_, decided)| decided.set_number,
        );
        attempt.refused(decision, set_number);
        if self.recorder().wants_refusal(attempt, caller, facts.action) {
            self.record_refusal(
                attempt,
                caller,
                decision,
                facts,
                &kind,
                &reasons[0],
                decided,
            )
            .await;
        }
        Refusal {
            decision,
            set_number,
            kind,
            reasons,
        }
    }

    #[allow(clippy::too_many_arguments)]
    async fn record_refusal(
        &self,
        attempt: &Attempt,
        caller: &Caller,
        decision: DecisionId,
        facts: &TargetFacts<'_>,
        kind: &RefusalKind,
        reason: &Reason,
        decided: Option<(Context, policy_engine::Decision)>,
    ) {
        let core = decided.is_none().then(|| reason.clone());
        let mut record = self.record(
            attempt,
            caller,
            decision,
            facts,
            outcome_word(kind),
            decided,
            core,
        );
        record.set_aside = attempt
            .set_aside()
            .filter(|_| facts.action.is_read())
            .cloned();
        let detail = Detail::RequestRefused {
            action: facts.action.into(),
            code: reason.code.clone(),
            message: reason.message.clone(),
            requires: demanded(kind),
            credential: caller.credential.into(),
            route: attempt.route.to_owned(),
            set: attempt.set_number(),
        };
        let event = attempt
            .event(caller, detail)
            .about(caller.user().map(|user| user.id))
            .in_project(facts.project.as_ref().and_then(|project| project.id))
            .decided_by(decision);
        self.recorder().decision(record).await;
        if let Err(error) = self.recorder().audit(event).await {
            // The answer is a refusal either way; it must not turn into anything else.
            tracing::error!(decision = %decision, %error, "a refusal could not be recorded");
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn record(
        &self,
        attempt: &Attempt,
        caller: &Caller,
        decision: DecisionId,
        facts: &TargetFacts<'_>,
        outcome: &str,
        decided: Option<(Context, policy_engine::Decision)>,
        core: Option<Reason>,
    ) -> Box<DecisionRecord> {
        let (context, decided) = match decided {
            Some((context, decided)) => (context, Some(decided)),
            None => (context::build(attempt, decision, caller, facts), None),
        };
        let row = DecisionRow {
            id: decision,
            at: attempt.at,
            action: facts.action.as_str().to_owned(),
            outcome: outcome.to_owned(),
            set_number: i64::try_from(
                decided
                    .as_ref()
                    .map_or(attempt.set_number(), |decided| decided.set_number),
            )
            .ok()
            .filter(|number| *number > 0),
            user: caller.user().map(|user| user.id),
            token: caller.token_id(),
            project_name: facts
                .project
                .as_ref()
                .map(|project| project.normalized.to_owned()),
            route: attempt.route.to_owned(),
            remote_address: attempt.remote_address.to_string(),
            microseconds: decided
                .as_ref()
                .map_or(0, |decided| decided.nanoseconds / 1000),
            would_refuse: decided
                .as_ref()
                .and_then(|decided| would_refuse(&context, decided)),
            record: String::new(),
        };
        let owner_settings = facts
            .project
            .as_ref()
            .map(|project| project.owner_settings.clone().into_owned())
            .filter(|settings| settings.as_object().is_some_and(|map| !map.is_empty()));
        let active = self.inner.active.load();
        let sections = active
            .generation
            .as_ref()
            .map_or_else(Sections::empty, |generation| {
                generation.set().sections(context.action)
            });
        let version = facts
            .release
            .as_ref()
            .map(|release| release.version.to_string());
        let file = facts.file.as_ref().map(|file| file.name.to_owned());
        Box::new(DecisionRecord {
            row,
            request: attempt.id,
            version,
            file,
            context,
            sections,
            set_aside: None,
            owner_settings,
            core,
            decision: decided,
        })
    }

    /// Policies' notes and failures, for the operator.
    fn log_policies(
        &self,
        decision: DecisionId,
        action: Action,
        decided: &policy_engine::Decision,
    ) {
        for record in &decided.policies {
            match &record.result {
                Ok(verdict) => {
                    for note in &verdict.notes {
                        tracing::info!(target: "policy", %decision, policy = %record.policy, "{note}");
                    }
                    if record.grade != Grade::Enforce
                        && !matches!(verdict.outcome, Outcome::Permit | Outcome::Abstain)
                    {
                        metrics::counter!("portcullis_unenforced_verdicts_total", "policy" => record.policy.clone(), "grade" => record.grade.as_str())
                            .increment(1);
                    }
                }
                Err(failure) => {
                    metrics::counter!("portcullis_policy_failures_total", "policy" => record.policy.clone()).increment(1);
                    tracing::error!(target: "policy", %decision, %action, policy = %record.policy, %failure, "policy failed");
                }
            }
        }
    }
}

/// For the request's line in the log.
fn note_project(attempt: &Attempt, facts: &TargetFacts<'_>) {
    if let Some(project) = &facts.project {
        attempt.is_about(project.normalized);
    }
}

/// The policies in grade `warn` or `observe` that would have refused this.
fn would_refuse(context: &Context, decided: &policy_engine::Decision) -> Option<String> {
    let names: Vec<&str> = decided
        .policies
        .iter()
        .filter(|record| record.grade != Grade::Enforce)
        .filter(|record| match &record.result {
            Err(_) => true,
            Ok(verdict) => match &verdict.outcome {
                Outcome::Deny => true,
                Outcome::Require(required) => policy_engine::combine::unmet(required, context)
                    .next()
                    .is_some(),
                Outcome::Abstain | Outcome::Permit | Outcome::Stage => false,
            },
        })
        .map(|record| record.policy.as_str())
        .collect();
    if names.is_empty() {
        None
    } else {
        Some(names.join(", "))
    }
}

/// Whether it changes nothing: a read, or the page of an action.
fn is_read(attempt: &Attempt, action: Action) -> bool {
    action.is_read() || matches!(attempt.method, Method::Get | Method::Head)
}

fn outcome_word(kind: &RefusalKind) -> &'static str {
    match kind {
        RefusalKind::Denied | RefusalKind::CredentialRequired => "denied",
        RefusalKind::Required(_) => "required",
        RefusalKind::Failed => "failed",
        RefusalKind::Limited { .. } => "limited",
    }
}

/// What must hold first, in the words of the contract, for the audit log.
fn demanded(kind: &RefusalKind) -> Vec<Word<Demand>> {
    let demand = |requirement: &Requirement| match requirement {
        Requirement::EnrolledSecondFactor => Demand::EnrolledSecondFactor,
        Requirement::SecondFactorWithin(_) => Demand::SecondFactorWithin,
        Requirement::PasswordWithin(_) => Demand::PasswordWithin,
        Requirement::VerifiedEmail => Demand::VerifiedEmail,
        Requirement::ProjectToken => Demand::ProjectToken,
        Requirement::TokenMadeWithSecondFactor => Demand::TokenMadeWithSecondFactor,
    };
    match kind {
        RefusalKind::Required(requirements) => {
            requirements.iter().map(demand).map(Word::from).collect()
        }
        RefusalKind::Denied
        | RefusalKind::CredentialRequired
        | RefusalKind::Failed
        | RefusalKind::Limited { .. } => Vec::new(),
    }
}

fn own_reason(code: &str, message: &str, remedy: &str, page: Option<Page>) -> Reason {
    Reason {
        code: code.to_owned(),
        message: message.to_owned(),
        remedy: remedy.to_owned(),
        page,
    }
}

fn nanoseconds_since(started: Instant) -> u64 {
    u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX)
}
