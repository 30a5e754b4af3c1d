//! How verdicts become a decision.
