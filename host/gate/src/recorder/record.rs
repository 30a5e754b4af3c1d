//! The stored record of a decision: the facts that some policy asked for, within a number of bytes.

use model::DecisionId;
use model::kept::{LEFT_OUT, within};
use model::limit::{Bytes, RECORD_BYTES, SECTION_BYTES};
use policy_engine::contract::{Context, Outcome, Sections};
use serde_json::{Map, Value, json};
use storage::decisions::DecisionRow;

use crate::refusal::Reason;
use crate::set_aside::SetAside;

/// Everything `explain` shows about one decision, before it is cut to its stored size.
#[derive(Debug)]
pub(crate) struct DecisionRecord {
    pub(crate) row: DecisionRow,
    /// The request it was made for; equal to the decision's id for a request's first one.
    pub(crate) request: DecisionId,
    /// The version and the file name it is about, whether or not a policy asked for them: somebody
    /// who searches for a decision knows these.
    pub(crate) version: Option<String>,
    pub(crate) file: Option<String>,
    /// Complete, as it was before it was narrowed for each policy.
    pub(crate) context: Context,
    /// The sections of the context that some policy asked for; no others are stored.
    pub(crate) sections: Sections,
    /// A credential that it was made without.
    pub(crate) set_aside: Option<SetAside>,
    /// The choices of the project's owners, as stored.
    pub(crate) owner_settings: Option<Value>,
    /// A rule of the core that refused before any policy was asked.
    pub(crate) core: Option<Reason>,
    /// What the policies said.
    pub(crate) decision: Option<policy_engine::Decision>,
}

/// The parts of a record with texts of strangers or owners, and the size of each if the whole does
/// not fit.
const HARDER: [Bytes; 2] = [SECTION_BYTES, model::limit::CUT_SECTION_BYTES];

impl DecisionRecord {
    /// The row as it is stored.
    ///
    /// Invariant: its record is at most [`RECORD_BYTES`] long, whatever the request contained.
    pub(crate) fn into_row(self) -> DecisionRow {
        let Self {
            row,
            request,
            version,
            file,
            context,
            sections,
            set_aside,
            owner_settings,
            core,
            decision,
        } = self;
        let context = serde_json::to_value(context).unwrap_or_default();
        let asked = asked_for(context, sections);
        for bytes in HARDER {
            for lighter in [keep_all, without_notes, without_bystanders] {
                let mut record = Map::new();
                record.insert("request".to_owned(), json!(request));
                for (name, text) in [("version", &version), ("file", &file)] {
                    if let Some(text) = text {
                        record.insert(
                            name.to_owned(),
                            within(json!(text), model::limit::CUT_SECTION_BYTES),
                        );
                    }
                }
                if let Some(set_aside) = &set_aside {
                    record.insert("set-aside".to_owned(), set_aside.to_json());
                }
                record.insert(
                    "context".to_owned(),
                    Value::Object(
                        asked
                            .iter()
                            .map(|(name, value)| (name.clone(), within(value.clone(), bytes)))
                            .collect(),
                    ),
                );
                if let Some(settings) = &owner_settings {
                    record.insert("owner-settings".to_owned(), within(settings.clone(), bytes));
                }
                if let Some(core) = &core {
                    record.insert("core".to_owned(), json!(core));
                }
                if let Some(decision) = &decision {
                    record.insert("decision".to_owned(), json!(lighter(decision.clone())));
                }
                let text = Value::Object(record).to_string();
                if text.len() <= RECORD_BYTES.length() {
                    return DecisionRow {
                        record: text,
                        ..row
                    };
                }
            }
        }
        // Still too long, for example with thirty policies that all say a lot.
        let outcome = decision.map(|decision| json!(decision.outcome));
        let record = json!({ "request": request, "outcome": outcome, LEFT_OUT: "the record was longer than a record may be" });
        DecisionRow {
            record: record.to_string(),
            ..row
        }
    }
}

/// The fields that are always stored, and the sections that some policy asked for.
fn asked_for(context: Value, sections: Sections) -> Map<String, Value> {
    let Value::Object(mut fields) = context else {
        return Map::new();
    };
    fields.retain(|name, _| {
        Sections::ALL
            .iter()
            .all(|(section, word)| word != name || sections.contains(*section))
    });
    fields
}

fn keep_all(decision: policy_engine::Decision) -> policy_engine::Decision {
    decision
}

fn without_notes(mut decision: policy_engine::Decision) -> policy_engine::Decision {
    for policy in &mut decision.policies {
        if let Ok(verdict) = &mut policy.result {
            verdict.notes.clear();
        }
    }
    decision
}

/// Without policies that abstained, and with only the first reasons of the others.
fn without_bystanders(decision: policy_engine::Decision) -> policy_engine::Decision {
    let mut decision = without_notes(decision);
    decision.policies.retain(|policy| {
        policy
            .result
            .as_ref()
            .map_or(true, |verdict| verdict.outcome != Outcome::Abstain)
    });
    for policy in &mut decision.policies {
        if let Ok(verdict) = &mut policy.result {
            verdict.reasons.truncate(1);
        }
    }
    decision.reasons.truncate(4);
    decision.warnings.truncate(4);
    decision
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::{Action, Timestamp};
    use policy_engine::contract::{Metadata, Verdict};
    use policy_engine::{Decision, DecisionOutcome, Grade, PolicyIdentity, PolicyRecord};

    use super::*;

    fn row() -> DecisionRow {
        DecisionRow {
            id: DecisionId::new(),
            at: Timestamp(1),
            action: Action::FileUpload.as_str().to_owned(),
            outcome: "denied".to_owned(),
            set_number: Some(1),
            user: None,
            token: None,
            project_name: None,
            route: "/legacy/".to_owned(),
            remote_address: "192.0.2.1".to_owned(),
            microseconds: 1,
            would_refuse: None,
            record: String::new(),
        }
    }

    fn context(requires: usize) -> Context {
        let mut context: Context = serde_json::from_value(json!({
            "action": "file:upload", "now": 1, "credential": "api-token", "principal": "anonymous", "change": "nothing",
            "request": { "id": "x", "route": "/legacy/", "method": "post", "remote-address": "192.0.2.1", "user-agent": "twine" },
        }))
        .unwrap();
        context.metadata = Some(Metadata {
            version: "2.4".into(),
            summary: "s".repeat(512),
            license: String::new(),
            requires_python: String::new(),
            requires: (0..requires)
                .map(|number| {
                    format!("dependency-{number}>=1.0; extra == 'a-long-name-of-an-extra'")
                })
                .collect(),
            classifiers: Vec::new(),
        });
        context
    }

    fn record(requires: usize, sections: Sections, decision: Option<Decision>) -> Value {
        let record = DecisionRecord {
            row: row(),
            request: DecisionId::new(),
            version: Some("1.0".into()),
            file: None,
            context: context(requires),
            sections,
            set_aside: None,
            owner_settings: None,
            core: None,
            decision,
        };
        let text = record.into_row().record;
        assert!(text.len() <= RECORD_BYTES.length(), "{}", text.len());
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn nothing_is_kept_of_a_section_that_no_policy_asked_for() {
        let record = record(19_000, Sections::REQUEST, None);
        assert_eq!(record["context"]["request"]["user-agent"], "twine");
        assert!(record["context"].get("metadata").is_none(), "{record}");
        assert_eq!(record["context"]["credential"], "api-token");
    }

    #[test]
    fn of_a_long_section_its_beginning_and_its_digest_are_kept() {
        let record = record(19_000, Sections::METADATA, None);
        let metadata = &record["context"]["metadata"];
        assert!(
            metadata["requires"][0]
                .as_str()
                .unwrap()
                .starts_with("dependency-0"),
            "{record}"
        );
        assert_eq!(metadata[LEFT_OUT]["sha256"].as_str().unwrap().len(), 64);
    }

    #[test]
    fn thirty_two_talkative_policies_fit_as_well() {
        let identity = Arc::new(PolicyIdentity {
            policy: "talkative".into(),
            version: "1".into(),
            digest: "ab".repeat(32),
            grade: Grade::Enforce,
        });
        let reason = policy_engine::contract::Reason {
            code: "c".repeat(64),
            message: "m".repeat(300),
            remedy: "r".repeat(300),
            page: None,
        };
        let verdict = Verdict {
            outcome: Outcome::Deny,
            reasons: vec![reason.clone(); 8],
            obligations: Vec::new(),
            notes: vec!["\u{1f600}".repeat(512); 16],
        };
        let policies = vec![
            PolicyRecord {
                identity,
                result: Ok(verdict),
                nanoseconds: 1,
                fuel: 1
            };
            32
        ];
        let decision = Decision {
            outcome: DecisionOutcome::Denied,
            reasons: vec![reason; 256],
            warnings: Vec::new(),
            obligations: Vec::new(),
            policies,
            set_number: 1,
            nanoseconds: 1,
        };
        let record = record(10, Sections::METADATA, Some(decision));
        assert!(
            record.get("decision").is_some() || record.get(LEFT_OUT).is_some(),
            "{record}"
        );
    }
}
