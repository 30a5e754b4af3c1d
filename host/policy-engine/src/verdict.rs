//! Whether the contract allows a verdict. The answer of a module is never trusted.

use crate::contract::{Action, Obligation, Outcome, Verdict};
use crate::evaluate::EvaluateFailure;
use crate::text::{is_line, is_name, line};

const REASONS: usize = 8;
const OBLIGATIONS: usize = 8;
const NOTES: usize = 16;
const REQUIREMENTS: usize = 8;
const CODE: usize = 64;
const SENTENCE: usize = 300;
const NOTE: usize = 512;

/// Checks a verdict and makes its texts safe to show.
///
/// Too many of anything, a malformed code and a misplaced outcome are failures: they are errors of
/// the policy. A text that is too long is cut and one with control characters is cleaned, because
/// it may quote a caller's input, and a caller should not be able to turn a refusal into an error.
pub(crate) fn check(mut verdict: Verdict, action: Action) -> Result<Verdict, EvaluateFailure> {
    let wrong = |message: String| Err(EvaluateFailure::Output(message));
    for (what, found, maximum) in [
        ("reasons", verdict.reasons.len(), REASONS),
        ("obligations", verdict.obligations.len(), OBLIGATIONS),
        ("notes", verdict.notes.len(), NOTES),
    ] {
        if found > maximum {
            return wrong(format!("{found} {what}, at most {maximum} are allowed"));
        }
    }
    match &verdict.outcome {
        Outcome::Stage if action != Action::FileUpload => {
            return wrong(format!(
                "`stage` for {action}; only file:upload can be staged"
            ));
        }
        Outcome::Require(requirements) if requirements.is_empty() => {
            return wrong("`require` without a requirement".into());
        }
        Outcome::Require(requirements) if requirements.len() > REQUIREMENTS => {
            return wrong(format!(
                "{} requirements, at most {REQUIREMENTS} are allowed",
                requirements.len()
            ));
        }
        _ => {}
    }
    for reason in &mut verdict.reasons {
        if !is_name(&reason.code, CODE) {
            return wrong(
                "a reason's code must be lower-case words joined by hyphens, at most 64 characters"
                    .into(),
            );
        }
        clean(&mut reason.message, SENTENCE);
        clean(&mut reason.remedy, SENTENCE);
        if reason.message.is_empty() {
            return wrong(format!("the reason `{}` has no message", reason.code));
        }
    }
    for obligation in &mut verdict.obligations {
        match obligation {
            Obligation::SendMail(name) if !is_name(name, CODE) => {
                return wrong("the name of a mail must be lower-case words joined by hyphens, at most 64 characters".into());
            }
            Obligation::Other(text) => clean(text, CODE),
            Obligation::SendMail(_) | Obligation::DisablePassword => {}
        }
    }
    for note in &mut verdict.notes {
        clean(note, NOTE);
    }
    Ok(verdict)
}

fn clean(text: &mut String, maximum: usize) {
    if !is_line(text, maximum) {
        *text = line(text, maximum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{Reason, Requirement};

    fn verdict(outcome: Outcome) -> Verdict {
        let reason = Reason {
            code: "a-code".into(),
            message: "A message.".into(),
            remedy: String::new(),
            page: None,
        };
        Verdict {
            outcome,
            reasons: vec![reason],
            obligations: vec![],
            notes: vec![],
        }
    }

    fn refused(outcome: Outcome, change: impl FnOnce(&mut Verdict)) -> String {
        let mut verdict = verdict(outcome);
        change(&mut verdict);
        check(verdict, Action::IndexRead).unwrap_err().to_string()
    }

    #[test]
    fn nonsense_is_a_failure() {
        assert!(refused(Outcome::Stage, |_| ()).contains("only file:upload"));
        assert!(refused(Outcome::Require(vec![]), |_| ()).contains("without a requirement"));
        assert!(
            refused(
                Outcome::Require(vec![Requirement::VerifiedEmail; 9]),
                |_| ()
            )
            .contains("9 requirements")
        );
        assert!(
            refused(Outcome::Deny, |it| it.reasons =
                vec![it.reasons[0].clone(); 9])
            .contains("9 reasons")
        );
        assert!(
            refused(Outcome::Deny, |it| it.obligations =
                vec![Obligation::DisablePassword; 9])
            .contains("9 obligations")
        );
        assert!(
            refused(Outcome::Deny, |it| it.notes = vec![String::new(); 17]).contains("17 notes")
        );
        assert!(refused(Outcome::Deny, |it| it.reasons[0].code = "A Code".into()).contains("code"));
        assert!(
            refused(Outcome::Deny, |it| it.reasons[0].message =
                "\n\u{1b}".trim().into())
            .contains("no message")
        );
        assert!(
            refused(Outcome::Deny, |it| it.obligations =
                vec![Obligation::SendMail("../x".into())])
            .contains("mail")
        );
    }

    #[test]
    fn long_and_dirty_texts_are_cut_and_cleaned() {
        let mut dirty = verdict(Outcome::Deny);
        dirty.reasons[0].message = format!("\u{1b}[2J{}", "é".repeat(400));
        dirty.notes = vec!["a\nforged line".into()];
        let clean = check(dirty, Action::IndexRead).unwrap();
        assert_eq!(clean.reasons[0].message.chars().count(), 300);
        assert!(
            clean.reasons[0].message.starts_with("[2Jé") && clean.reasons[0].message.ends_with('…')
        );
        assert_eq!(clean.notes, ["a forged line"]);
    }

    #[test]
    fn an_ordinary_verdict_is_left_as_it_is() {
        let ordinary = verdict(Outcome::Stage);
        assert_eq!(check(ordinary.clone(), Action::FileUpload), Ok(ordinary));
    }
}
