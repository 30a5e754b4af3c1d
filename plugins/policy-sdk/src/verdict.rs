//! Verdicts, in the words of their authors.

use crate::contract::{Context, Obligation, Outcome, Page, Reason, Requirement, Verdict};

/// No opinion.
pub fn abstain() -> Verdict {
    Verdict::new(Outcome::Abstain)
}

/// Allowed, as far as this policy is concerned.
pub fn permit() -> Verdict {
    Verdict::new(Outcome::Permit)
}

/// Refused.
pub fn deny(reason: Reason) -> Verdict {
    Verdict::new(Outcome::Deny).because(reason)
}

/// Not allowed until all of these are met; see [`Requirements`] for one reason each.
pub fn require(requirements: impl IntoIterator<Item = Requirement>, reason: Reason) -> Verdict {
    Verdict::new(Outcome::Require(requirements.into_iter().collect())).because(reason)
}

/// Allowed, but the file is held back until a person publishes the release.
pub fn stage(reason: Reason) -> Verdict {
    Verdict::new(Outcome::Stage).because(reason)
}

impl Verdict {
    /// An outcome without reasons, obligations or notes.
    pub fn new(outcome: Outcome) -> Self {
        Verdict {
            outcome,
            reasons: Vec::new(),
            obligations: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Adds a reason. The host shows the first 8.
    #[must_use]
    pub fn because(mut self, reason: Reason) -> Self {
        self.reasons.push(reason);
        self
    }

    /// Adds a line for the operator's log, never shown to the caller.
    #[must_use]
    pub fn note(mut self, line: impl Into<String>) -> Self {
        self.notes.push(line.into());
        self
    }

    /// Adds something that the host must do for the decision to hold.
    #[must_use]
    pub fn obligation(mut self, obligation: Obligation) -> Self {
        self.obligations.push(obligation);
        self
    }
}

impl Reason {
    /// A reason: a stable code for programs (lower-case words joined by hyphens) and one
    /// sentence that says what is wrong.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Reason {
            code: code.into(),
            message: message.into(),
            remedy: String::new(),
            page: None,
        }
    }

    /// One sentence that says what to do.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = remedy.into();
        self
    }

    /// The page that helps; the host adds its address to the remedy.
    #[must_use]
    pub fn page(mut self, page: Page) -> Self {
        self.page = Some(page);
        self
    }
}

/// Requirements with one reason each. Requirements that are already met leave no trace, so the
/// person reads only the remaining steps.
pub struct Requirements<'a> {
    context: &'a Context,
    unmet: Vec<Requirement>,
    reasons: Vec<Reason>,
}

impl<'a> Requirements<'a> {
    /// No requirements yet for this context.
    pub fn on(context: &'a Context) -> Self {
        Self {
            context,
            unmet: Vec::new(),
            reasons: Vec::new(),
        }
    }

    /// Demands this. The reason is built only if the requirement is not met yet.
    #[must_use]
    pub fn need(mut self, requirement: Requirement, reason: impl FnOnce() -> Reason) -> Self {
        if !self.context.meets(requirement) {
            self.unmet.push(requirement);
            self.reasons.push(reason());
        }
        self
    }

    /// Demands this if `wanted`.
    #[must_use]
    pub fn need_if(
        self,
        wanted: bool,
        requirement: Requirement,
        reason: impl FnOnce() -> Reason,
    ) -> Self {
        if wanted {
            self.need(requirement, reason)
        } else {
            self
        }
    }

    /// `require` with the unmet requirements, `abstain` if all are met. Never a permission: a
    /// confirmed factor does not mean that the action is allowed.
    pub fn verdict(self) -> Verdict {
        if self.unmet.is_empty() {
            return abstain();
        }
        Verdict {
            reasons: self.reasons,
            ..Verdict::new(Outcome::Require(self.unmet))
        }
    }
}
