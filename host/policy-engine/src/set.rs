//! Set files: which modules decide what, as an operator writes it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use toml::Spanned;

use crate::contract::Action;
use crate::text::{is_line, is_name, line};

/// The largest set file that is read.
const MAXIMUM_BYTES: usize = 256 << 10;
/// The most bindings of a set: each costs time in every request that it hears.
const MAXIMUM_BINDINGS: usize = 32;

/// The effect of a policy's refusal.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Grade {
    /// It refuses.
    #[default]
    Enforce,
    /// It lets the request through and warns the person.
    Warn,
    /// It lets the request through, and counts and logs it.
    Observe,
}

impl Grade {
    /// The word in set files and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Grade::Enforce => "enforce",
            Grade::Warn => "warn",
            Grade::Observe => "observe",
        }
    }
}

/// A policy set as written: `set.toml`, or JSON where it is stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SetSpec {
    /// Name: lower-case words joined by hyphens.
    pub name: String,
    /// Its purpose, in a sentence.
    #[serde(default)]
    pub summary: String,
    /// The bindings, in the order in which their reasons are shown.
    #[serde(default, rename = "binding")]
    pub bindings: Vec<BindingSpec>,
}

/// One binding as written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct BindingSpec {
    /// Name of the policy; must match the module's own name. Once per grade.
    pub policy: String,
    /// File name of the module, next to the set file or in the folder of modules.
    pub module: String,
    /// SHA-256 digest of the module in lower-case hex; filled in when a set is stored, so that it
    /// names the exact module.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// The effect of a refusal.
    #[serde(default)]
    pub grade: Grade,
    /// The actions that it hears, if not all that it wants to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actions: Option<Vec<Action>>,
    /// Settings by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, serde_json::Value>,
}

/// The set cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SetError {
    /// The text is not a set file.
    #[error("line {line}: {message}")]
    Syntax {
        /// Line of the text, counted from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// A problem with the whole set.
    #[error("{0}")]
    Set(String),
    /// A problem with one binding.
    #[error("policy `{policy}`: {message}")]
    Binding {
        /// Name of the policy.
        policy: String,
        /// What is wrong.
        message: String,
    },
}

impl SetError {
    pub(crate) fn binding(policy: &str, message: impl Into<String>) -> SetError {
        SetError::Binding {
            policy: line(policy, 64),
            message: message.into(),
        }
    }
}

/// A set file with the positions that errors need.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct SetFile {
    name: Spanned<String>,
    #[serde(default)]
    summary: Option<Spanned<String>>,
    #[serde(default)]
    binding: Vec<Spanned<BindingSpec>>,
}

impl SetSpec {
    /// Reads a set file.
    ///
    /// # Errors
    /// [`SetError::Syntax`] with the line, for everything that can be checked without the modules.
    pub fn parse(text: &str) -> Result<SetSpec, SetError> {
        let at = |offset: usize, message: String| {
            let before = text.get(..offset).unwrap_or(text);
            SetError::Syntax {
                line: before.matches('\n').count() + 1,
                message,
            }
        };
        if text.len() > MAXIMUM_BYTES {
            return Err(at(
                0,
                format!(
                    "the set file has {} bytes, at most {MAXIMUM_BYTES} are allowed",
                    text.len()
                ),
            ));
        }
        let file: SetFile = toml::from_str(text).map_err(|error| {
            at(
                error.span().map_or(0, |span| span.start),
                error.message().to_owned(),
            )
        })?;
        if !is_name(file.name.get_ref(), 64) {
            return Err(at(
                file.name.span().start,
                "the set's name must be lower-case words joined by hyphens, at most 64 characters"
                    .into(),
            ));
        }
        if let Some(summary) = &file.summary
            && !is_line(summary.get_ref(), 600)
        {
            return Err(at(
                summary.span().start,
                "the set's summary must be one line of at most 600 characters".into(),
            ));
        }
        let mut seen = BTreeSet::new();
        for binding in &file.binding {
            if let Err(message) = binding.get_ref().check(&mut seen) {
                return Err(at(binding.span().start, message));
            }
        }
        let spec = SetSpec {
            name: file.name.into_inner(),
            summary: file.summary.map(Spanned::into_inner).unwrap_or_default(),
            bindings: file.binding.into_iter().map(Spanned::into_inner).collect(),
        };
        spec.check_size().map_err(|message| at(0, message))?;
        Ok(spec)
    }

    /// The checks of [`parse`](Self::parse), for a set from storage.
    pub(crate) fn check(&self) -> Result<(), SetError> {
        self.check_size().map_err(SetError::Set)?;
        if !is_name(&self.name, 64) || !is_line(&self.summary, 600) {
            return Err(SetError::Set("the set's name must be lower-case words joined by hyphens, its summary one line of at most 600 characters".into()));
        }
        let mut seen = BTreeSet::new();
        self.bindings
            .iter()
            .try_for_each(|binding| binding.check(&mut seen).map_err(SetError::Set))
    }

    fn check_size(&self) -> Result<(), String> {
        match self.bindings.len() {
            0 => Err(
                "the set has no binding, so nothing would ever be permitted; add a [[binding]]"
                    .into(),
            ),
            1..=MAXIMUM_BINDINGS => Ok(()),
            more => Err(format!(
                "the set has {more} bindings, at most {MAXIMUM_BINDINGS} are allowed"
            )),
        }
    }
}

impl BindingSpec {
    fn check<'a>(&'a self, seen: &mut BTreeSet<(&'a str, Grade)>) -> Result<(), String> {
        if !is_name(&self.policy, 64) {
            return Err(format!(
                "`{}` is not the name of a policy: lower-case words joined by hyphens, at most 64 characters",
                line(&self.policy, 64)
            ));
        }
        let policy = &self.policy;
        // Once per grade: another version, or stricter settings, may observe next to the deciding
        // one.
        if !seen.insert((policy.as_str(), self.grade)) {
            let grade = self.grade.as_str();
            return Err(format!(
                "policy `{policy}` is bound twice with grade {grade}; bind it once per grade and use its settings"
            ));
        }
        // Only a file name: a set file must not reach outside the folder of modules.
        let plain = |character: char| {
            character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.')
        };
        if self.module.is_empty()
            || self.module.len() > 128
            || self.module.starts_with('.')
            || !self.module.chars().all(plain)
        {
            return Err(format!(
                "policy `{policy}`: `module` must be a plain file name such as {policy}.wasm"
            ));
        }
        if let Some(digest) = &self.digest
            && !(digest.len() == 64
                && digest
                    .bytes()
                    .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')))
        {
            return Err(format!(
                "policy `{policy}`: `digest` must be a SHA-256 digest in lower-case hex"
            ));
        }
        if let Some(actions) = &self.actions {
            let mut named = BTreeSet::new();
            if actions.is_empty() {
                return Err(format!(
                    "policy `{policy}`: `actions` is empty, so it would never be heard; leave it out to hear all it wants"
                ));
            }
            if let Some(twice) = actions.iter().find(|action| !named.insert(**action)) {
                return Err(format!(
                    "policy `{policy}`: `actions` names `{twice}` twice"
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
name = "default"
summary = "What everyone needs."

[[binding]]
policy = "restrict-routes"
module = "restrict-routes.wasm"

[[binding]]
policy = "require-second-factor"
module = "require-second-factor.wasm"
grade = "observe"
actions = ["file:upload", "release:publish"]

[binding.settings]
within = "15m"
soft = true
"#;

    #[test]
    fn a_set_file_reads_and_survives_storage_as_json() {
        let spec = SetSpec::parse(GOOD).unwrap();
        assert_eq!(spec.name, "default");
        assert_eq!(spec.bindings[0].grade, Grade::Enforce);
        assert_eq!(spec.bindings[1].grade, Grade::Observe);
        assert_eq!(
            spec.bindings[1].actions,
            Some(vec![Action::FileUpload, Action::ReleasePublish])
        );
        assert_eq!(spec.bindings[1].settings["within"], "15m");
        let stored = serde_json::to_string(&spec).unwrap();
        assert_eq!(serde_json::from_str::<SetSpec>(&stored).unwrap(), spec);
    }

    #[test]
    fn a_policy_may_observe_beside_itself() {
        let spec =
            SetSpec::parse(&GOOD.replacen("require-second-factor\"", "restrict-routes\"", 1))
                .unwrap();
        assert_eq!(spec.bindings[0].policy, spec.bindings[1].policy);
    }

    #[track_caller]
    fn check_refused(from: &str, to: &str, line: usize, part: &str) {
        assert!(GOOD.contains(from));
        let error = SetSpec::parse(&GOOD.replacen(from, to, 1))
            .unwrap_err()
            .to_string();
        assert!(error.starts_with(&format!("line {line}: ")), "{error}");
        assert!(error.contains(part), "{error}");
    }

    #[test]
    fn a_wrong_set_file_is_refused_with_its_line() {
        check_refused("\"default\"", "\"De fault\"", 2, "set's name");
        check_refused("module = \"restrict", "modul = \"restrict", 7, "modul");
        check_refused("\"observe\"", "\"ignore\"", 12, "ignore");
        check_refused("\"file:upload\"", "\"file:fly\"", 13, "file:fly");
        check_refused(
            "require-second-factor\"\nmodule = \"require-second-factor.wasm\"\ngrade = \"observe\"",
            "restrict-routes\"\nmodule = \"x.wasm\"",
            9,
            "bound twice",
        );
        check_refused(
            "restrict-routes.wasm",
            "../../etc/passwd",
            5,
            "plain file name",
        );
        check_refused(
            "[\"file:upload\", \"release:publish\"]",
            "[]",
            9,
            "never be heard",
        );
        check_refused("[binding.settings]", "[binding.settings", 15, "");
        assert!(
            SetSpec::parse("name = \"empty\"")
                .unwrap_err()
                .to_string()
                .contains("no binding")
        );
    }
}
