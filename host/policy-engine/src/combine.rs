//! How verdicts become a decision. Pure: no sandbox, no clock, no state.
//!
//! | verdicts under `enforce` | outcome |
//! | --- | --- |
//! | a policy denies, or names an obligation that this host does not know | denied |
//! | else a policy fails | failed |
//! | else a policy requires something that is not met | required |
//! | else a policy stages | staged |
//! | else a policy permits | permitted |
//! | else | denied, `no-policy-permits` |
//!
//! Deny beats failure: a policy that was asked and refused is conclusive, and its reason helps the
//! person more than an error would. Failure beats require, stage and permit: the policy that failed
//! might have denied.
//!
//! A requirement that is already met is neither an obstacle nor a permission: a policy that demands
//! a second factor does not say what that factor opens.
//!
//! Policies under `warn` and `observe` never change outcome, reasons or obligations.

#[cfg(test)]
mod properties;

use crate::contract::{
    Context, Obligation, Outcome, Principal, Reason, Requirement, TokenScope, Verdict,
};
use crate::decision::DecisionOutcome;
use crate::evaluate::EvaluateFailure;
use crate::set::Grade;

/// One policy's answer: an argument of [`combine`].
#[derive(Clone, Copy, Debug)]
pub struct Voice<'a> {
    /// Name of the policy, for the general reasons.
    pub policy: &'a str,
    /// Its grade.
    pub grade: Grade,
    /// Its verdict, or why there is none.
    pub result: Result<&'a Verdict, &'a EvaluateFailure>,
}

/// The combination of all voices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Combined {
    /// The outcome.
    pub outcome: DecisionOutcome,
    /// The reasons of every voice that caused the outcome, in the order of the voices.
    pub reasons: Vec<Reason>,
    /// The reasons of `warn` voices that would have refused.
    pub warnings: Vec<Reason>,
    /// The obligations of the voices behind the outcome, each once.
    pub obligations: Vec<Obligation>,
}

/// The weight of one voice by itself, from weakest to strongest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    Abstain,
    Permit,
    Stage,
    Require,
    Fail,
    Deny,
}

/// Combines the answers of all policies about `context`, in binding order.
pub fn combine<'a>(context: &Context, voices: impl Iterator<Item = Voice<'a>> + Clone) -> Combined {
    let enforced = voices.clone().filter(|voice| voice.grade == Grade::Enforce);
    let heaviest = enforced
        .clone()
        .map(|voice| weight(context, voice.result))
        .max()
        .unwrap_or(Weight::Abstain);

    let mut reasons = Vec::new();
    let mut obligations: Vec<Obligation> = Vec::new();
    let mut requirements = Vec::new();
    for voice in enforced {
        let weight = weight(context, voice.result);
        // An outcome that lets the action through rests on every voice that let it through.
        let supports = weight == heaviest || heaviest <= Weight::Stage;
        if !supports {
            continue;
        }
        match voice.result {
            Err(_) => reasons.push(general(
                "policy-failed",
                format!(
                    "The policy `{}` failed, so this could not be decided.",
                    voice.policy
                ),
                "Try again later; if it persists, tell the operators of the registry.",
            )),
            Ok(verdict) => {
                if weight == heaviest {
                    tell(&mut reasons, voice.policy, verdict, weight);
                }
                // If a verdict is a denial only because of an unknown obligation, its other
                // obligations were not meant for a denial.
                let meant = weight != Weight::Deny || verdict.outcome == Outcome::Deny;
                for obligation in verdict.obligations.iter().filter(|_| meant) {
                    if !matches!(obligation, Obligation::Other(_))
                        && !obligations.contains(obligation)
                    {
                        obligations.push(obligation.clone());
                    }
                }
                if let Outcome::Require(required) = &verdict.outcome
                    && weight == Weight::Require
                {
                    requirements.extend(unmet(required, context));
                }
            }
        }
    }

    let outcome = match heaviest {
        Weight::Deny => DecisionOutcome::Denied,
        Weight::Fail => DecisionOutcome::Failed,
        Weight::Require => DecisionOutcome::Required(merge(requirements)),
        Weight::Stage => DecisionOutcome::Staged,
        Weight::Permit => DecisionOutcome::Permitted,
        Weight::Abstain => {
            reasons = vec![general(
                "no-policy-permits",
                "No policy permits this.".into(),
                "",
            )];
            obligations.clear();
            DecisionOutcome::Denied
        }
    };
    Combined {
        outcome,
        reasons,
        warnings: warnings(context, voices),
        obligations,
    }
}

fn weight(context: &Context, result: Result<&Verdict, &EvaluateFailure>) -> Weight {
    let Ok(verdict) = result else {
        return Weight::Fail;
    };
    if verdict
        .obligations
        .iter()
        .any(|obligation| matches!(obligation, Obligation::Other(_)))
    {
        return Weight::Deny;
    }
    match &verdict.outcome {
        Outcome::Abstain => Weight::Abstain,
        Outcome::Permit => Weight::Permit,
        Outcome::Stage => Weight::Stage,
        Outcome::Require(required) if unmet(required, context).next().is_none() => Weight::Abstain,
        Outcome::Require(_) => Weight::Require,
        Outcome::Deny => Weight::Deny,
    }
}

/// Adds the reasons of a verdict of this weight, or a general one if it gave none.
fn tell(reasons: &mut Vec<Reason>, policy: &str, verdict: &Verdict, weight: Weight) {
    let unknown = verdict
        .obligations
        .iter()
        .find_map(|obligation| match obligation {
            Obligation::Other(text) => Some(text),
            _ => None,
        });
    if let Some(unknown) = unknown {
        reasons.push(general(
            "unknown-obligation",
            format!("The policy `{policy}` asks for `{unknown}`, which this registry cannot do."),
            "Tell the operators of the registry; the policy needs a newer version of it.",
        ));
    }
    match (weight, &verdict.outcome) {
        (Weight::Deny, Outcome::Deny) if verdict.reasons.is_empty() => {
            reasons.push(general(
                "refused",
                format!("The policy `{policy}` refuses this."),
                "",
            ));
        }
        (Weight::Require, _) if verdict.reasons.is_empty() => {
            reasons.push(general(
                "requirement-not-met",
                format!("The policy `{policy}` asks for more proof first."),
                "",
            ));
        }
        (Weight::Deny, outcome) if *outcome != Outcome::Deny => {}
        _ => reasons.extend(verdict.reasons.iter().cloned()),
    }
}

fn warnings<'a>(context: &Context, voices: impl Iterator<Item = Voice<'a>>) -> Vec<Reason> {
    let mut warnings = Vec::new();
    for voice in voices.filter(|voice| voice.grade == Grade::Warn) {
        let weight = weight(context, voice.result);
        if let Ok(verdict) = voice.result
            && matches!(weight, Weight::Deny | Weight::Require)
        {
            tell(&mut warnings, voice.policy, verdict, weight);
        }
    }
    warnings
}

fn general(code: &str, message: String, remedy: &str) -> Reason {
    Reason {
        code: code.into(),
        message,
        remedy: remedy.into(),
        page: None,
    }
}

/// The requirements that the context does not meet. Facts that the context lacks count as unmet.
pub fn unmet<'a>(
    requirements: &'a [Requirement],
    context: &'a Context,
) -> impl Iterator<Item = Requirement> + 'a {
    requirements
        .iter()
        .filter(|requirement| !holds(requirement, context))
        .cloned()
}

fn holds(requirement: &Requirement, context: &Context) -> bool {
    let user = match &context.principal {
        Principal::User(user) => Some(user),
        Principal::Anonymous | Principal::Publisher(_) => None,
    };
    let assurance = context.assurance.as_ref();
    match requirement {
        Requirement::EnrolledSecondFactor => user.is_some_and(|user| !user.factors.is_empty()),
        Requirement::SecondFactorWithin(seconds) => assurance
            .and_then(|assurance| assurance.second_factor.as_ref())
            .is_some_and(|factor| factor.age <= u64::from(*seconds)),
        Requirement::PasswordWithin(seconds) => assurance
            .and_then(|assurance| assurance.password_age)
            .is_some_and(|age| age <= u64::from(*seconds)),
        Requirement::VerifiedEmail => user.is_some_and(|user| user.email_verified),
        Requirement::ProjectToken => context
            .token
            .as_ref()
            .is_some_and(|token| matches!(token.scope, TokenScope::Projects(_))),
        Requirement::TokenMadeWithSecondFactor => context
            .token
            .as_ref()
            .is_some_and(|token| token.made_with_second_factor),
    }
}

/// Each requirement once, the strictest of those that differ only in seconds, in the order of the
/// contract: the same for every order of the policies.
fn merge(requirements: Vec<Requirement>) -> Vec<Requirement> {
    let mut merged: Vec<Requirement> = Vec::new();
    for requirement in requirements {
        match merged
            .iter_mut()
            .find(|known| position(known) == position(&requirement))
        {
            Some(known) => stricter(known, &requirement),
            None => merged.push(requirement),
        }
    }
    merged.sort_by_key(position);
    merged
}

fn stricter(known: &mut Requirement, other: &Requirement) {
    if let (Requirement::SecondFactorWithin(left), Requirement::SecondFactorWithin(right))
    | (Requirement::PasswordWithin(left), Requirement::PasswordWithin(right)) = (known, other)
    {
        *left = (*left).min(*right);
    }
}

fn position(requirement: &Requirement) -> u8 {
    match requirement {
        Requirement::EnrolledSecondFactor => 0,
        Requirement::SecondFactorWithin(_) => 1,
        Requirement::PasswordWithin(_) => 2,
        Requirement::VerifiedEmail => 3,
        Requirement::ProjectToken => 4,
        Requirement::TokenMadeWithSecondFactor => 5,
    }
}
