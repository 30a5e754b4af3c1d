//! Forms of pages: what a browser sends with `POST`, and the errors of its fields.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use storage::Secret;

use super::fields::Labelled;
use super::link::Link;
use crate::body::Incoming;
use crate::problem::Problem;
use crate::url::decode;
use crate::words::sentences;

/// Largest form, in bytes. The answer of a security key is the largest field.
pub(crate) const MAX_BYTES: usize = model::limit::SMALL_BODY_BYTES.length();
/// Most fields in one form.
const MAX_FIELDS: usize = model::limit::FORM_FIELDS.length();

/// Begins the names of the step-up page's own fields, which it does not keep.
pub(crate) const STEP_UP_PREFIX: &str = "step-up-";

/// A form as it was sent, `application/x-www-form-urlencoded` in UTF-8.
#[derive(Debug, Default)]
pub(crate) struct Form {
    fields: Vec<(String, Secret<String>)>,
    /// Names of the secrets of all forms. They are never written into a page, whichever form they
    /// come with and whether or not a handler reads them.
    secrets: &'static [&'static str],
    /// Names of fields that were read as secrets.
    read_as_secrets: Mutex<BTreeSet<String>>,
}

impl Form {
    /// No form, as in a `GET`.
    pub(crate) fn none() -> Self {
        Self::default()
    }

    /// Reads the body; `secrets` are the names of the secrets of all forms.
    pub(crate) async fn read(
        headers: &HeaderMap,
        body: &Incoming,
        secrets: &'static [&'static str],
    ) -> Result<Self, Problem> {
        body.limit_to(MAX_BYTES as u64);
        let is_form = |value: &HeaderValue| {
            let kind = value
                .to_str()
                .unwrap_or("")
                .split(';')
                .next()
                .unwrap_or("")
                .trim();
            kind.eq_ignore_ascii_case("application/x-www-form-urlencoded")
        };
        let bytes = Secret::new(body.read_whole(MAX_BYTES).await?);
        let mut kinds = headers.get_all(CONTENT_TYPE).iter();
        // A form without fields may come without a content type.
        if !bytes.expose().is_empty()
            && !(kinds.next().is_some_and(is_form) && kinds.next().is_none())
        {
            let problem = Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "not-a-form",
                "The body must be a form.",
            );
            return Err(problem.remedy(
                "Send it with Content-Type: application/x-www-form-urlencoded.",
                None,
            ));
        }
        Self::parse(bytes.expose(), secrets)
    }

    fn parse(bytes: &[u8], secrets: &'static [&'static str]) -> Result<Self, Problem> {
        let malformed = || {
            Problem::new(
                StatusCode::BAD_REQUEST,
                "form-malformed",
                "The form could not be read.",
            )
            .remedy("Send it again.", None)
        };
        let mut fields = Vec::new();
        for pair in bytes
            .split(|byte| *byte == b'&')
            .filter(|pair| !pair.is_empty())
        {
            let (name, value) = match pair.iter().position(|byte| *byte == b'=') {
                Some(place) => (&pair[..place], &pair[place + 1..]),
                None => (pair, &[][..]),
            };
            if fields.len() == MAX_FIELDS {
                return Err(malformed());
            }
            let (name, value) = (
                decode(name).ok_or_else(malformed)?,
                decode(value).ok_or_else(malformed)?,
            );
            fields.push((name, Secret::new(value)));
        }
        Ok(Self {
            fields,
            secrets,
            read_as_secrets: Mutex::default(),
        })
    }

    /// The form as it is sent again after a step-up: without the step-up's own fields, and without
    /// fields that only look like a secret of this form.
    pub(crate) fn after_step_up(mut self) -> Self {
        if self
            .fields
            .iter()
            .any(|(name, _)| name.starts_with(STEP_UP_PREFIX))
        {
            let secrets = self.secrets;
            self.fields.retain(|(name, _)| {
                !name.starts_with(STEP_UP_PREFIX) && !secrets.contains(&name.as_str())
            });
        }
        self
    }

    /// The value of a field, the first of several; empty if there is none.
    pub(crate) fn text(&self, name: impl AsRef<str>) -> &str {
        let name = name.as_ref();
        self.fields
            .iter()
            .find(|(known, _)| known == name)
            .map_or("", |(_, value)| value.expose().as_str())
    }

    /// All values of a field that may appear several times.
    pub(crate) fn texts(&self, name: impl AsRef<str>) -> impl Iterator<Item = &str> {
        self.fields
            .iter()
            .filter(move |(known, _)| known == name.as_ref())
            .map(|(_, value)| value.expose().as_str())
    }

    /// The value of a field that is never shown again.
    pub(crate) fn secret(&self, name: impl AsRef<str>) -> Secret<String> {
        let name = name.as_ref();
        self.read_as_secrets
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name.to_owned());
        Secret::new(self.text(name).to_owned())
    }

    /// The fields that can be sent again after a step-up: everything except secrets and the step-up
    /// page's own fields.
    pub(crate) fn kept(&self) -> Vec<(&str, &str)> {
        let read_as_secrets = self.read_as_secrets.lock();
        let read_as_secrets = read_as_secrets.unwrap_or_else(PoisonError::into_inner);
        let is_kept = |name: &str| {
            !self.secrets.contains(&name)
                && !read_as_secrets.contains(name)
                && !name.starts_with(STEP_UP_PREFIX)
        };
        self.fields
            .iter()
            .filter(|(name, _)| is_kept(name))
            .map(|(name, value)| (name.as_str(), value.expose().as_str()))
            .collect()
    }
}

/// What is wrong with the fields of a form, shown next to each and summed up on top.
#[derive(Clone, Debug, Default)]
pub(crate) struct Errors(Vec<FormError>);

/// What is wrong with one field, or with the form as a whole.
#[derive(Clone, Debug)]
pub(crate) struct FormError {
    /// The field's name; empty for what concerns the form as a whole.
    pub(crate) field: Cow<'static, str>,
    pub(crate) message: String,
    /// What to do about it, separate from the message: the message links to the field, the remedy
    /// elsewhere.
    pub(crate) remedy: String,
    /// The page of the remedy, if it is not in this form.
    pub(crate) page: Option<Link>,
}

impl FormError {
    /// The label of its field, if the page has that field.
    pub(crate) fn label<'a, F: Labelled + 'a>(
        &self,
        fields: &'a impl AsRef<[F]>,
    ) -> Option<&'a str> {
        fields
            .as_ref()
            .iter()
            .find(|field| field.name() == self.field)
            .map(Labelled::label)
            .filter(|label| !label.is_empty())
    }
}

impl Errors {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// One error; `field` is the field's name, empty if the error concerns the form as a whole.
    pub(crate) fn of_field(
        field: impl Into<Cow<'static, str>>,
        message: impl Into<String>,
    ) -> Self {
        let mut errors = Self::new();
        errors.add(field, message);
        errors
    }

    pub(crate) fn add(&mut self, field: impl Into<Cow<'static, str>>, message: impl Into<String>) {
        self.0.push(FormError {
            field: field.into(),
            message: sentences(&message.into()),
            remedy: String::new(),
            page: None,
        });
    }

    /// Sets the remedy of the error that was added last.
    pub(crate) fn remedy(mut self, remedy: &str, page: Option<Link>) -> Self {
        if let Some(error) = self.0.last_mut() {
            (error.remedy, error.page) = (sentences(remedy), page);
        }
        self
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn iter(&self) -> std::slice::Iter<'_, FormError> {
        self.0.iter()
    }

    /// What is wrong with a field.
    pub(crate) fn of(&self, field: &str) -> Option<&FormError> {
        self.0.iter().find(|error| error.field == field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::BodyLimits;
    use crate::routes::{forms, secrets};
    use axum::body::Body;

    async fn read(content_type: Option<&'static str>, body: &str) -> Result<Form, Problem> {
        let headers = content_type
            .into_iter()
            .map(|kind| (CONTENT_TYPE, HeaderValue::from_static(kind)))
            .collect();
        Form::read(
            &headers,
            &Incoming::new(Body::from(body.to_owned()), BodyLimits::OF_TESTS),
            secrets(),
        )
        .await
    }

    const FORM: Option<&str> = Some("application/x-www-form-urlencoded; charset=UTF-8");

    #[tokio::test]
    async fn a_form_is_read_as_browsers_write_it() {
        let form = read(
            FORM,
            "name=a+b%2Bc&project=one&project=two&empty=&%C3%A4=%C3%B6&bare",
        )
        .await
        .unwrap();
        assert_eq!(
            (
                form.text("name"),
                form.text("ä"),
                form.text("empty"),
                form.text("bare"),
                form.text("nothing")
            ),
            ("a b+c", "ö", "", "", "")
        );
        assert_eq!(form.text("project"), "one");
        assert!(read(None, "").await.is_ok());
    }

    #[tokio::test]
    async fn what_is_no_form_is_refused() {
        for (kind, body) in [
            (None, "a=b"),
            (Some("application/json"), "{}"),
            (Some("text/plain"), "a=b"),
            (Some("multipart/form-data; boundary=x"), "--x--"),
        ] {
            assert!(read(kind, body).await.is_err(), "{kind:?}");
        }
        for body in [
            "a=%",
            "a=%4",
            "a=%zz",
            "a=%ff",
            "a=%00",
            &"a=b&".repeat(MAX_FIELDS + 1),
            &format!("a={}", "b".repeat(MAX_BYTES)),
        ] {
            assert!(read(FORM, body).await.is_err(), "{body:.20}");
        }
    }

    #[tokio::test]
    async fn secrets_are_not_kept() {
        let form = read(
            FORM,
            "user=ada&password=hush&token=hush&code=hush&step-up-code=hush&project=one&project=two",
        )
        .await
        .unwrap();
        assert_eq!(form.secret("token").expose(), "hush");
        assert_eq!(
            form.kept(),
            [("user", "ada"), ("project", "one"), ("project", "two")]
        );
        assert!(!format!("{form:?}").contains("hush"));
    }

    #[tokio::test]
    async fn a_form_after_a_step_up_has_nothing_of_the_step_up() {
        let form = read(
            FORM,
            "name=blue&ceremony=c&response=r&step-up-to=%2F&step-up-code=123456",
        )
        .await
        .unwrap()
        .after_step_up();
        assert_eq!(
            (
                form.text("name"),
                form.text("ceremony"),
                form.text("response"),
                form.text("step-up-code")
            ),
            ("blue", "", "", "")
        );
        let form = read(FORM, "name=blue&ceremony=c")
            .await
            .unwrap()
            .after_step_up();
        assert_eq!(form.text("ceremony"), "c");
    }

    #[test]
    fn what_is_wrong_is_told_in_whole_sentences() {
        let mut errors = Errors::of_field("name", "the name is taken");
        errors.add("email", "Is it yours?");
        errors.add("", "Wait. Then try again. ");
        let told: Vec<&str> = errors.iter().map(|error| error.message.as_str()).collect();
        assert_eq!(
            told,
            [
                "The name is taken.",
                "Is it yours?",
                "Wait. Then try again."
            ]
        );
    }

    #[test]
    fn a_remedy_belongs_to_the_error_before_it() {
        let mut errors = Errors::of_field("name", "the name is taken");
        errors.add("password", "this is not your password");
        let errors = errors.remedy(
            "set a new one",
            Some(Link::new("/password/forgot", "Set a new password")),
        );
        let told: Vec<_> = errors
            .iter()
            .map(|error| (error.remedy.as_str(), error.page.is_some()))
            .collect();
        assert_eq!(told, [("", false), ("Set a new one.", true)]);
        assert!(Errors::new().remedy("nothing", None).is_empty());
    }

    #[test]
    fn what_is_a_secret_of_one_form_is_one_of_all() {
        for name in [
            "password",
            "current",
            "code",
            "recovery-code",
            "ceremony",
            "response",
            "link",
        ] {
            assert!(secrets().contains(&name), "{name}");
        }
    }

    /// Every template and every source of pages.
    fn texts(folder: &str, extension: &str) -> Vec<(std::path::PathBuf, String)> {
        let mut folders = vec![std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
        let mut found = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|other| other == extension) {
                    let text = std::fs::read_to_string(&path).unwrap();
                    found.push((path, text));
                }
            }
        }
        found
    }

    #[test]
    fn every_form_is_on_the_list_of_its_room() {
        let mut declared: Vec<String> = Vec::new();
        for (path, text) in texts("src", "rs") {
            let product = text.split("#[cfg(test)]").next().unwrap();
            for declaration in product.split("\nfields! {").skip(1) {
                let name = declaration
                    .lines()
                    .map(str::trim)
                    .find(|line| line.ends_with('{'))
                    .unwrap_or_else(|| panic!("{}", path.display()));
                declared.push(name.trim_end_matches('{').trim().to_owned());
            }
        }
        let mut listed: Vec<String> = forms().map(|form| form.of.to_owned()).collect();
        declared.sort();
        listed.sort();
        assert_eq!(declared, listed);
    }

    /// The form that a template's summary names, and the fields that it draws.
    fn fields(template: &str) -> (Vec<&str>, Vec<&str>) {
        let (mut named, mut drawn) = (Vec::new(), Vec::new());
        for (kind, rest) in template
            .split("{% call forms::")
            .skip(1)
            .filter_map(|call| call.split_once("(errors, "))
        {
            let argument = rest.split([',', ')']).next().unwrap().trim();
            match kind {
                "summary" => named.push(argument),
                _ => drawn.push(argument),
            }
        }
        (named, drawn)
    }

    #[test]
    fn what_is_wrong_is_named_by_the_label_of_its_field() {
        let mut drawing = 0;
        for (path, template) in texts("templates", "html") {
            let (named, drawn) = fields(&template);
            // Fields of settings are drawn from a list, and a form may have no fields.
            if drawn.is_empty() {
                continue;
            }
            let [named] = named[..] else {
                panic!("{}: one summary names {named:?}", path.display())
            };
            let of = named.strip_suffix("::ALL").unwrap();
            let form = forms().find(|form| form.of == of).unwrap();
            let labelled = form.all.iter().filter(|field| !field.label.is_empty());
            let expected: Vec<String> = labelled
                .map(|field| format!("{of}::{}", field.name.to_uppercase().replace('-', "_")))
                .collect();
            assert_eq!(drawn, expected, "{}", path.display());
            drawing += 1;
        }
        assert!(drawing >= 15, "{drawing}");
    }
}
