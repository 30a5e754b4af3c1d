//! The settings of a policy as fields of a form. Their names, labels and kinds are known when a
//! module is loaded, not before: all of them are foreign text.
#![cfg_attr(
    not(test),
    expect(dead_code, reason = "the pages of a project's owners show them")
)]

use gate::{ActionOfContract, OwnerForm, Setting, SettingKind, SettingValue};

use super::fields::Labelled;
use super::form::Form;

/// A setting as a form shows it.
#[derive(Clone, Debug)]
pub(crate) struct SettingField {
    /// `policy.setting`: no field of ours has a full stop in its name, so no setting of a module
    /// can take the name of one of ours.
    pub(crate) name: String,
    pub(crate) label: String,
    pub(crate) help: String,
    pub(crate) input: Input,
}

/// How it is entered, with its current value.
#[derive(Clone, Debug)]
pub(crate) enum Input {
    Checkbox {
        checked: bool,
    },
    Number {
        /// As it was typed, right or wrong.
        value: String,
        minimum: i64,
        maximum: i64,
    },
    Line {
        value: String,
        most: u32,
    },
    /// One text in each line.
    Lines {
        value: String,
    },
    Choice {
        /// Pairs of value and text.
        options: Vec<(String, String)>,
        chosen: String,
    },
    /// Several of a closed list.
    Several {
        /// Pairs of value and text, and whether it is chosen.
        options: Vec<(String, String, bool)>,
    },
}

impl Labelled for SettingField {
    fn name(&self) -> &str {
        &self.name
    }

    fn label(&self) -> &str {
        &self.label
    }
}

/// The name of a setting's field.
pub(crate) fn field_name(policy: &str, setting: &str) -> String {
    format!("{policy}.{setting}")
}

impl SettingField {
    /// The fields of a form with these values, in the order of its settings; with the default for a
    /// missing value.
    pub(crate) fn all(form: &OwnerForm, values: &[SettingValue]) -> Vec<Self> {
        form.settings
            .iter()
            .enumerate()
            .map(|(place, setting)| {
                let value = values.get(place).unwrap_or(&setting.default);
                Self::new(&form.policy, setting, written(&setting.kind, value))
            })
            .collect()
    }

    /// The same fields with the values that were typed.
    pub(crate) fn typed(form: &OwnerForm, sent: &Form) -> Vec<Self> {
        form.settings
            .iter()
            .map(|setting| {
                let name = field_name(&form.policy, &setting.name);
                let texts = sent.texts(&name).map(str::to_owned).collect();
                Self::new(&form.policy, setting, texts)
            })
            .collect()
    }

    /// `texts` are the values that a browser would send.
    fn new(policy: &str, setting: &Setting, texts: Vec<String>) -> Self {
        let first = texts.first().cloned().unwrap_or_default();
        let number = |minimum, maximum| Input::Number {
            value: first.clone(),
            minimum,
            maximum,
        };
        let input = match &setting.kind {
            SettingKind::Boolean => Input::Checkbox {
                checked: !texts.is_empty(),
            },
            SettingKind::Integer(range) => number(range.minimum, range.maximum),
            SettingKind::Seconds(range) => number(range.minimum, range.maximum),
            SettingKind::Text(most) => Input::Line {
                value: first,
                most: *most,
            },
            SettingKind::Texts(_) => Input::Lines { value: first },
            SettingKind::Choice(words) => Input::Choice {
                options: words
                    .iter()
                    .map(|word| (word.clone(), word.clone()))
                    .collect(),
                chosen: first,
            },
            SettingKind::Actions => Input::Several {
                options: ActionOfContract::ALL
                    .iter()
                    .map(|action| {
                        let word = action.to_string();
                        let is_chosen = texts.contains(&word);
                        (word.clone(), word, is_chosen)
                    })
                    .collect(),
            },
        };
        Self {
            name: field_name(policy, &setting.name),
            label: setting.label.clone(),
            help: format!("{}{}", setting.help, bounds(&setting.kind)),
            input,
        }
    }
}

/// The allowed values in words: not every reader sees the limits in the markup.
fn bounds(kind: &SettingKind) -> String {
    match kind {
        SettingKind::Integer(range) => {
            format!(" From {} to {}.", range.minimum, range.maximum)
        }
        SettingKind::Seconds(range) => {
            format!(" From {} to {} seconds.", range.minimum, range.maximum)
        }
        SettingKind::Text(most) => format!(" At most {most} characters."),
        SettingKind::Texts(most) => format!(" One in each line, at most {most}."),
        SettingKind::Actions => " Any number of actions.".to_owned(),
        SettingKind::Boolean | SettingKind::Choice(_) => String::new(),
    }
}

/// A value as a browser would send it back.
fn written(kind: &SettingKind, value: &SettingValue) -> Vec<String> {
    match value {
        SettingValue::Boolean(is_on) => is_on.then(|| "on".to_owned()).into_iter().collect(),
        SettingValue::Integer(number) => vec![number.to_string()],
        SettingValue::Text(text) => vec![text.clone()],
        SettingValue::Texts(texts) => vec![texts.join("\n")],
        SettingValue::Choice(place) => match kind {
            SettingKind::Choice(words) => words.get(*place as usize).cloned().into_iter().collect(),
            _ => Vec::new(),
        },
        SettingValue::Actions(actions) => actions.iter().map(ToString::to_string).collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use askama::Template;
    use axum::body::Body;
    use axum::http::header::CONTENT_TYPE;
    use axum::http::{HeaderMap, HeaderValue};
    use gate::SettingError;
    use policy_engine::contract::Range;
    use policy_engine::{Compiler, Engine, EngineConfig};

    use super::*;
    use crate::body::{BodyLimits, Incoming};
    use crate::frame::form::Errors;
    use crate::frame::layout::Layout;
    use crate::frame::viewer::Viewer;

    #[derive(Template)]
    #[template(
        ext = "html",
        source = r#"{% import "frame/forms.html" as forms %}{% call forms::summary(errors, fields) %}{% endcall %}{% for field in fields %}{% call forms::setting_field(errors, field) %}{% endcall %}{% endfor %}"#
    )]
    struct SettingsForm {
        layout: Layout,
        errors: Errors,
        fields: Vec<SettingField>,
    }

    /// The settings of a shipped policy that project owners may choose.
    fn offered(policy: &str) -> OwnerForm {
        let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies/modules");
        let bytes = std::fs::read(modules.join(format!("{policy}.wasm")))
            .expect("policy modules are built: cargo xtask build-plugins");
        let engine = Engine::new(EngineConfig::new(Compiler::InProcess)).unwrap();
        let module = engine.load(&bytes).unwrap();
        let descriptor = module.descriptor();
        OwnerForm {
            policy: descriptor.name.clone(),
            summary: descriptor.summary.clone(),
            settings: descriptor.owner_settings.clone(),
        }
    }

    fn errors_of(policy: &str, wrong: Vec<SettingError>) -> Errors {
        let mut errors = Errors::new();
        for error in wrong {
            errors.add(field_name(policy, &error.setting), error.message);
        }
        errors
    }

    fn html(errors: Errors, fields: Vec<SettingField>) -> String {
        let layout = Layout::new("https://index.example", "Rules", Viewer::Unknown);
        let form = SettingsForm {
            layout,
            errors,
            fields,
        };
        form.render().unwrap()
    }

    async fn sent(body: &str) -> Form {
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, kind)]);
        let body = Incoming::new(Body::from(body.to_owned()), BodyLimits::OF_TESTS);
        Form::read(&headers, &body, crate::routes::secrets())
            .await
            .unwrap()
    }

    #[test]
    fn what_a_policy_offers_is_a_form_with_its_defaults() {
        let (mandate, staged) = (offered("owner-mandate"), offered("staged-release"));
        let mut fields = SettingField::all(&mandate, &[]);
        fields.extend(SettingField::all(&staged, &[SettingValue::Choice(1)]));
        insta::assert_snapshot!(html(Errors::new(), fields));
    }

    #[tokio::test]
    async fn what_is_wrong_with_a_setting_stands_next_to_what_was_typed() {
        let form = offered("owner-mandate");
        let names: Vec<&str> = form.settings.iter().map(|one| one.name.as_str()).collect();
        let typed = format!(
            "owner-mandate.{}=on&owner-mandate.{}=%3Cb%3E",
            names[0], names[1]
        );
        let fields = SettingField::typed(&form, &sent(&typed).await);
        let wrong = SettingError {
            setting: names[1].to_owned(),
            message: "must be a whole number of seconds".to_owned(),
        };
        insta::assert_snapshot!(html(errors_of(&form.policy, vec![wrong]), fields));
    }

    #[test]
    fn each_kind_of_setting_has_a_field_and_all_its_texts_are_escaped() {
        let setting = |name: &str, kind, default| Setting {
            name: name.to_owned(),
            label: format!("<i>{name}</i>"),
            help: "Says \"<u>\" & more.".to_owned(),
            kind,
            default,
        };
        let words = vec!["one".to_owned(), "<two>\"".to_owned()];
        let form = OwnerForm {
            policy: "invented".to_owned(),
            summary: String::new(),
            settings: vec![
                setting("flag", SettingKind::Boolean, SettingValue::Boolean(true)),
                setting(
                    "count",
                    SettingKind::Integer(Range {
                        minimum: -1,
                        maximum: 9,
                    }),
                    SettingValue::Integer(3),
                ),
                setting(
                    "line",
                    SettingKind::Text(40),
                    SettingValue::Text("\"><script>".to_owned()),
                ),
                setting(
                    "lines",
                    SettingKind::Texts(5),
                    SettingValue::Texts(vec!["a".to_owned(), "</textarea>".to_owned()]),
                ),
                setting("word", SettingKind::Choice(words), SettingValue::Choice(1)),
                setting(
                    "doings",
                    SettingKind::Actions,
                    SettingValue::Actions(ActionOfContract::ALL[..1].to_vec()),
                ),
            ],
        };
        let wrong = form.settings.iter().map(|setting| SettingError {
            setting: setting.name.clone(),
            message: format!("<em>{}</em> is wrong", setting.name),
        });
        let errors = errors_of(&form.policy, wrong.collect());
        let html = html(errors, SettingField::all(&form, &[]));
        for markup in ["<i>", "<u>", "<em>", "<two>", "<script>", "</textarea></"] {
            assert!(!html.contains(markup), "{markup}: {html}");
        }
        // The list of actions is long and uniform.
        let several = html.find("name=\"invented.doings\"").unwrap();
        let end = html[several..].match_indices("</label>").nth(1).unwrap().0;
        insta::assert_snapshot!(&html[..several + end]);
    }
}
