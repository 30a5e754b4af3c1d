//! Cases of a policy set: a context and the expected decision, as an operator writes them.
//!
//! A set contains its cases in `cases/*.toml`. They are its tests, and the self-test that the
//! server runs before it swaps the set in.
//!
//! ```toml
//! [[case]]
//! name = "a token of a user without a second factor uploads nothing"
//! caller = "account-token"
//! action = "file:upload"
//! context.principal.user.factors = []
//! owner.staged-release.mode = "automation"
//! expect = "require"
//! codes = ["second-factor-required"]
//! ```
//!
//! `caller` is one of the [`profiles`](profile::Caller), which fill in a whole context for the
//! action; `context` overrides parts of it. `owner` holds the choices of the project's owners, by
//! policy and setting.

pub mod profile;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use crate::PolicySet;
use crate::contract::{Action, Context, Outcome, Reason, Requirement};
use crate::decision::{Decision, DecisionOutcome};
use crate::set::Grade;
use profile::Caller;

/// The largest case file that is read, in bytes.
const MAXIMUM_BYTES: u64 = 1 << 20;
/// The most cases that a set may have. Each costs a decision when the set is loaded.
const MAXIMUM_CASES: usize = 2_000;

/// One case: a context, and the decision that the set must make.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// The fact that it shows.
    pub name: String,
    /// The context to decide about.
    pub context: Context,
    /// The choices of the project's owners: `{"policy": {"setting": value}}`.
    pub owner: Value,
    /// The expected decision.
    pub expect: Expectation,
    /// The requirements of a `require`, if the case names them.
    pub requirements: Option<Vec<Requirement>>,
    /// The codes of the reasons in order, if the case names them.
    pub codes: Option<Vec<String>>,
    /// The codes of observing policies that would not have let the request through.
    pub observed: Option<Vec<String>>,
}

/// The outcome of a decision, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expectation {
    /// Allowed.
    Permit,
    /// Allowed, and the file is held back.
    Stage,
    /// Something has to be confirmed first.
    Require,
    /// Refused.
    Deny,
    /// A policy failed.
    Failed,
}

impl Expectation {
    /// The outcome of a decision.
    pub fn of(decision: &Decision) -> Self {
        match decision.outcome {
            DecisionOutcome::Permitted => Expectation::Permit,
            DecisionOutcome::Staged => Expectation::Stage,
            DecisionOutcome::Required(_) => Expectation::Require,
            DecisionOutcome::Denied => Expectation::Deny,
            DecisionOutcome::Failed => Expectation::Failed,
        }
    }

    /// The word in case files and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Expectation::Permit => "permit",
            Expectation::Stage => "stage",
            Expectation::Require => "require",
            Expectation::Deny => "deny",
            Expectation::Failed => "failed",
        }
    }
}

/// A case file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum CaseError {
    /// The file or its folder is not readable.
    #[error("{path}: {source}")]
    Read {
        /// Its path.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The text is not a case file.
    #[error("{0}")]
    Syntax(String),
    /// One case is invalid.
    #[error("case `{case}`: {message}")]
    Case {
        /// Name of the case.
        case: String,
        /// What is wrong, and what would be right.
        message: String,
    },
    /// Too much to read or to decide.
    #[error("{0}")]
    TooLarge(String),
}

/// A case whose decision differs from the expected one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseFailure {
    /// Name of the case.
    pub case: String,
    /// One line for each difference.
    pub differences: Vec<String>,
    /// Each policy's answer, in binding order, one line each.
    pub policies: Vec<String>,
}

impl fmt::Display for CaseFailure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "case `{}`", self.case)?;
        for line in &self.differences {
            write!(out, "\n  {line}")?;
        }
        for line in &self.policies {
            write!(out, "\n    {line}")?;
        }
        Ok(())
    }
}

/// Reads every `*.toml` of a folder, in the order of their names. A folder that does not
/// exist has no cases.
pub fn load_folder(folder: &Path) -> Result<Vec<Case>, CaseError> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |source| CaseError::Read { path, source }
    };
    if !folder.try_exists().map_err(unreadable(folder))? {
        return Ok(Vec::new());
    }
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable(folder))? {
        let path = entry.map_err(unreadable(folder))?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            paths.push(path);
        }
    }
    paths.sort();

    let mut cases = Vec::new();
    for path in paths {
        let bytes = fs::metadata(&path).map_err(unreadable(&path))?.len();
        if bytes > MAXIMUM_BYTES {
            return Err(CaseError::TooLarge(format!(
                "{}: a case file has at most {MAXIMUM_BYTES} bytes, this one has {bytes}",
                path.display()
            )));
        }
        let text = fs::read_to_string(&path).map_err(unreadable(&path))?;
        cases.extend(parse(&text).map_err(|error| match error {
            CaseError::Syntax(message) => {
                CaseError::Syntax(format!("{}: {message}", path.display()))
            }
            other => other,
        })?);
        if cases.len() > MAXIMUM_CASES {
            return Err(CaseError::TooLarge(format!(
                "a set has at most {MAXIMUM_CASES} cases"
            )));
        }
    }
    Ok(cases)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseFile {
    #[serde(default, rename = "case")]
    cases: Vec<WrittenCase>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct WrittenCase {
    name: String,
    caller: String,
    action: Action,
    #[serde(default)]
    context: serde_json::Map<String, Value>,
    #[serde(default)]
    owner: serde_json::Map<String, Value>,
    expect: Expectation,
    requirements: Option<Vec<Requirement>>,
    codes: Option<Vec<String>>,
    observed: Option<Vec<String>>,
}

/// Reads the text of one case file.
pub fn parse(text: &str) -> Result<Vec<Case>, CaseError> {
    if text.len() as u64 > MAXIMUM_BYTES {
        return Err(CaseError::TooLarge(format!(
            "a case file has at most {MAXIMUM_BYTES} bytes, this one has {}",
            text.len()
        )));
    }
    let file: CaseFile = toml::from_str(text)
        .map_err(|error| CaseError::Syntax(error.to_string().trim_end().to_owned()))?;
    if file.cases.len() > MAXIMUM_CASES {
        return Err(CaseError::TooLarge(format!(
            "a case file has at most {MAXIMUM_CASES} cases, this one has {}",
            file.cases.len()
        )));
    }
    file.cases.into_iter().map(resolve).collect()
}

fn resolve(written: WrittenCase) -> Result<Case, CaseError> {
    let wrong = |message: String| CaseError::Case {
        case: written.name.clone(),
        message,
    };
    let Some(caller) = Caller::from_word(&written.caller) else {
        let known: Vec<&str> = Caller::ALL.iter().map(|caller| caller.as_str()).collect();
        return Err(wrong(format!(
            "there is no caller `{}`; there are {}",
            written.caller,
            known.join(", ")
        )));
    };
    let mut context =
        serde_json::to_value(caller.context(written.action)).expect("a context is plain data");
    overlay(&mut context, Value::Object(written.context.clone()));
    let context =
        serde_json::from_value(context).map_err(|error| wrong(format!("context: {error}")))?;
    Ok(Case {
        name: written.name,
        context,
        owner: Value::Object(written.owner),
        expect: written.expect,
        requirements: written.requirements,
        codes: written.codes,
        observed: written.observed,
    })
}

/// Merges `above` over `below`: tables are merged, everything else is replaced. An empty table
/// removes the value below, because TOML has no null.
fn overlay(below: &mut Value, above: Value) {
    match (below, above) {
        (Value::Object(below), Value::Object(above)) => {
            for (key, value) in above {
                if value.as_object().is_some_and(serde_json::Map::is_empty) {
                    below.remove(&key);
                } else {
                    overlay(below.entry(key).or_insert(Value::Null), value);
                }
            }
        }
        (below, above) => *below = above,
    }
}

/// Decides every case with the set and returns those that came out differently.
pub fn run(set: &PolicySet, cases: &[Case]) -> Vec<CaseFailure> {
    cases.iter().filter_map(|case| check(set, case)).collect()
}

fn check(set: &PolicySet, case: &Case) -> Option<CaseFailure> {
    let owner = set.resolve_owner_settings(&case.owner);
    let mut differences: Vec<String> = owner
        .problems()
        .iter()
        .map(|problem| format!("owner settings: {problem}"))
        .collect();

    let decision = set.decide(&case.context, &owner);
    let decided = Expectation::of(&decision);
    if decided != case.expect {
        differences.push(format!(
            "expected {}, decided {}",
            case.expect.as_str(),
            decided.as_str()
        ));
    }
    let codes = codes(&decision.reasons);
    if let Some(expected) = &case.codes
        && *expected != codes
    {
        differences.push(format!(
            "expected {}, got {}",
            in_words("the reasons", expected),
            in_words("", &codes)
        ));
    }
    if let Some(expected) = &case.requirements {
        let required = match &decision.outcome {
            DecisionOutcome::Required(required) => required.as_slice(),
            _ => &[],
        };
        if expected != required {
            differences.push(format!(
                "expected {}, got {}",
                in_words("the requirements", &words(expected)),
                in_words("", &words(required))
            ));
        }
    }
    if let Some(expected) = &case.observed {
        let observed = observed(&decision);
        if *expected != observed {
            differences.push(format!(
                "expected {} to be observed, got {}",
                in_words("", expected),
                in_words("", &observed)
            ));
        }
    }
    if differences.is_empty() {
        return None;
    }
    Some(CaseFailure {
        case: case.name.clone(),
        differences,
        policies: said(&decision),
    })
}

fn codes(reasons: &[Reason]) -> Vec<String> {
    reasons.iter().map(|reason| reason.code.clone()).collect()
}

/// Codes of observing policies that would not have let the request through.
fn observed(decision: &Decision) -> Vec<String> {
    let observing = decision
        .policies
        .iter()
        .filter(|record| record.grade == Grade::Observe);
    let unhappy = observing
        .filter_map(|record| record.result.as_ref().ok())
        .filter(|verdict| !matches!(verdict.outcome, Outcome::Abstain | Outcome::Permit));
    unhappy
        .flat_map(|verdict| codes(&verdict.reasons))
        .collect()
}

fn said(decision: &Decision) -> Vec<String> {
    let say = |record: &crate::PolicyRecord| match &record.result {
        Ok(verdict) => {
            let reasons: Vec<String> = verdict
                .reasons
                .iter()
                .map(|reason| {
                    format!("{}: {} {}", reason.code, reason.message, reason.remedy)
                        .trim_end()
                        .to_owned()
                })
                .collect();
            let said = format!(
                "{} ({}) said {}",
                record.policy,
                record.grade.as_str(),
                outcome(&verdict.outcome)
            );
            if reasons.is_empty() {
                said
            } else {
                format!("{said}: {}", reasons.join("; "))
            }
        }
        Err(failure) => format!(
            "{} ({}) failed: {failure}",
            record.policy,
            record.grade.as_str()
        ),
    };
    decision.policies.iter().map(say).collect()
}

/// A list as people read it, after `what`, its name; nothing if it is empty.
fn in_words(what: &str, list: &[String]) -> String {
    match (what, list) {
        ("", []) => "none".to_owned(),
        ("", list) => list.join(", "),
        (what, []) => format!("{what} to be none"),
        (what, list) => format!("{what} {}", list.join(", ")),
    }
}

/// Requirements in the words of case files.
fn words(requirements: &[Requirement]) -> Vec<String> {
    let word = |requirement: &Requirement| match requirement {
        Requirement::EnrolledSecondFactor => "enrolled-second-factor".to_owned(),
        Requirement::SecondFactorWithin(seconds) => {
            format!("second-factor-within {seconds} seconds")
        }
        Requirement::PasswordWithin(seconds) => format!("password-within {seconds} seconds"),
        Requirement::VerifiedEmail => "verified-email".to_owned(),
        Requirement::ProjectToken => "project-token".to_owned(),
        Requirement::TokenMadeWithSecondFactor => "token-made-with-second-factor".to_owned(),
    };
    requirements.iter().map(word).collect()
}

fn outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Abstain => "abstain".to_owned(),
        Outcome::Permit => "permit".to_owned(),
        Outcome::Stage => "stage".to_owned(),
        Outcome::Require(requirements) => format!("require {}", words(requirements).join(", ")),
        Outcome::Deny => "deny".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{Factors, Principal};

    fn first(text: &str) -> Case {
        parse(text).unwrap().remove(0)
    }

    #[test]
    fn what_a_case_says_is_put_over_the_callers_profile() {
        let case = first(
            r#"
            [[case]]
            name = "no factor, no release"
            caller = "account-token"
            action = "file:upload"
            context.principal.user.factors = []
            context.release = {}
            owner.staged-release.mode = "all"
            expect = "deny"
            codes = []
            "#,
        );
        let Principal::User(user) = &case.context.principal else {
            panic!("{case:?}")
        };
        assert_eq!(
            (user.name.as_str(), user.factors),
            ("alice", Factors::empty())
        );
        assert_eq!(case.context.release, None);
        assert_eq!(case.owner["staged-release"]["mode"], "all");
    }

    #[test]
    fn a_misspelt_fact_is_an_error_that_names_the_case() {
        let text = "[[case]]\nname = \"typo\"\ncaller = \"session\"\naction = \"index:read\"\ncontext.projekt.name = \"x\"\nexpect = \"permit\"";
        let error = parse(text).unwrap_err().to_string();
        assert!(
            error.contains("case `typo`") && error.contains("projekt"),
            "{error}"
        );
    }

    #[test]
    fn an_unknown_caller_is_told_which_there_are() {
        let text = "[[case]]\nname = \"who\"\ncaller = \"me\"\naction = \"index:read\"\nexpect = \"permit\"";
        let error = parse(text).unwrap_err().to_string();
        assert!(
            error.contains("`me`") && error.contains("anonymous"),
            "{error}"
        );
    }

    #[test]
    fn a_failure_is_told_in_the_words_of_case_files() {
        let requirements = [
            Requirement::EnrolledSecondFactor,
            Requirement::SecondFactorWithin(300),
        ];
        assert_eq!(
            outcome(&Outcome::Require(requirements.to_vec())),
            "require enrolled-second-factor, second-factor-within 300 seconds"
        );
        assert_eq!(
            in_words("the requirements", &words(&requirements[..1])),
            "the requirements enrolled-second-factor"
        );
        assert_eq!(in_words("the reasons", &[]), "the reasons to be none");
        assert_eq!(in_words("", &[]), "none");
    }

    #[test]
    fn an_unknown_key_is_an_error_with_its_line() {
        let error = parse("[[case]]\nname = \"x\"\ncaller = \"session\"\naction = \"index:read\"\nexpects = \"permit\"").unwrap_err().to_string();
        assert!(
            error.contains("line 5") && error.contains("expects"),
            "{error}"
        );
    }
}
