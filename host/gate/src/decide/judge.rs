//! The result of core rules, policies and obligations for one caller; nothing is recorded yet.

use std::time::{Duration, Instant};

use model::{Caller, DecisionId};
use policy_engine::contract::{Context, Page, Reason};
use policy_engine::{Decision, DecisionOutcome};

use super::{Gate, is_read, nanoseconds_since, own_reason};
use crate::attempt::Attempt;
use crate::context;
use crate::core_rules;
use crate::obligations;
use crate::refusal::RefusalKind;
use crate::target::TargetFacts;

/// The policies allow it.
pub(super) struct Allowed {
    /// Number of the set that decided.
    pub(super) number: u64,
    /// The activation (a sequence) under which it decided.
    pub(super) activation: i64,
    pub(super) context: Context,
    pub(super) decided: Decision,
}

/// It was refused, or it could not be decided.
pub(super) struct Refused {
    pub(super) kind: RefusalKind,
    /// Empty if no policy gave a reason.
    pub(super) reasons: Vec<Reason>,
    /// What the policies said; none if none was asked.
    pub(super) decided: Option<(Context, Decision)>,
}

impl Refused {
    fn by_core(kind: RefusalKind, reason: Reason) -> Self {
        Self {
            kind,
            reasons: vec![reason],
            decided: None,
        }
    }

    /// The code of the most important reason.
    pub(super) fn code(&self) -> &str {
        self.reasons
            .first()
            .map_or("refused", |reason| reason.code.as_str())
    }
}

impl Gate {
    /// Core rules, policies, obligations, in this order.
    pub(super) async fn judge(
        &self,
        attempt: &Attempt,
        caller: &Caller,
        decision: DecisionId,
        facts: &TargetFacts<'_>,
    ) -> Result<Allowed, Refused> {
        let started = Instant::now();
        if let Err(reason) = core_rules::check(attempt.at, caller, facts) {
            attempt.spent(nanoseconds_since(started));
            return Err(Refused::by_core(RefusalKind::Denied, *reason));
        }
        if !is_read(attempt, facts.action) && !self.catch_up().await {
            let reason = own_reason(
                "policies-being-replaced",
                "The policies of this registry are being replaced, so this could not be decided yet.",
                "Try again in a few seconds.",
                None,
            );
            return Err(Refused::by_core(RefusalKind::Failed, reason));
        }
        let active = self.inner.active.load_full();
        attempt.decided(decision, active.number());
        let Some(generation) = &active.generation else {
            let reason = own_reason(
                "no-policy-set",
                "No policy set is active, so nothing can be decided.",
                "Try again later; the operators of the registry can see why.",
                Some(Page::Contact),
            );
            return Err(Refused::by_core(RefusalKind::Failed, reason));
        };
        let context = context::build(attempt, decision, caller, facts);
        let owner = facts
            .project
            .as_ref()
            .map(|project| &*project.owner_settings)
            .filter(|settings| settings.as_object().is_some_and(|map| !map.is_empty()));
        let owner_settings = owner
            .map(|settings| generation.set().resolve_owner_settings(settings))
            .unwrap_or_default();
        let decided = generation.set().decide(&context, &owner_settings);
        attempt.spent(nanoseconds_since(started));

        let mut reasons = decided.reasons.clone();
        let mut kind = match &decided.outcome {
            DecisionOutcome::Permitted | DecisionOutcome::Staged => None,
            DecisionOutcome::Required(requirements) => {
                Some(RefusalKind::Required(requirements.clone()))
            }
            DecisionOutcome::Denied => Some(RefusalKind::Denied),
            DecisionOutcome::Failed => Some(RefusalKind::Failed),
        };
        // Obligations hold for refusals too: a policy may refuse *and* disable a password.
        if !decided.obligations.is_empty()
            && let Err(error) = obligations::fulfil(
                self.storage(),
                attempt,
                caller,
                &decided.obligations,
                active.activation,
            )
            .await
        {
            tracing::error!(decision = %decision, %error, "an obligation could not be fulfilled; denied");
            let has_failed = matches!(error, obligations::ObligationError::Storage(_));
            // A denial keeps the explanation of its policy.
            if has_failed || kind != Some(RefusalKind::Denied) {
                if kind.is_none() {
                    reasons.clear();
                }
                kind = Some(if has_failed {
                    RefusalKind::Failed
                } else {
                    RefusalKind::Denied
                });
                reasons.insert(
                    0,
                    own_reason(
                        "unknown-obligation",
                        "A policy allows this only under a condition this registry cannot meet.",
                        "Ask the operators of the registry.",
                        Some(Page::Contact),
                    ),
                );
            }
        }
        self.log_policies(decision, facts.action, &decided);
        let took = Duration::from_nanos(decided.nanoseconds);
        self.inner.metrics.took(took);
        match kind {
            None => Ok(Allowed {
                number: generation.number(),
                activation: active.activation,
                context,
                decided,
            }),
            Some(kind) => Err(Refused {
                kind,
                reasons,
                decided: Some((context, decided)),
            }),
        }
    }
}
