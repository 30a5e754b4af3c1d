//! `portcullis release publish` and `reject`: show the staged files, then let the running registry
//! act for a person who sends their credentials with each call.

use std::collections::BTreeMap;

use anyhow::bail;
use identity::Secret;
use model::{UserName, Version};
use serde_json::{Value, json};

use super::super::user_name;
use super::{PersonArguments, by_whom};
use crate::answer::{Answer, printable};
use crate::configuration::Configuration;
use crate::device_file::DeviceFile;
use crate::remote::{Remote, Reply};
use crate::serve::host_name;
use crate::terminal;

/// How often a slow person is asked for the current code.
const CODES: usize = 3;
/// Longest host name that is sent, in characters: the registry keeps no more.
const MAX_HOST: usize = 32;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Publish,
    Reject,
}

impl Verb {
    fn as_str(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Reject => "reject",
        }
    }

    fn question(self, files: usize) -> String {
        let verb = match self {
            Self::Publish => "Publish",
            Self::Reject => "Reject",
        };
        match files {
            1 => format!("{verb} this file?"),
            files => format!("{verb} these {files} files?"),
        }
    }
}

/// Names and SHA-256 of files.
type Files = BTreeMap<String, String>;

/// The credentials that a person sends with each call.
struct Person {
    user: UserName,
    password: Secret<String>,
    code: Secret<String>,
    /// Whether the next code can be asked for.
    may_ask_for_codes: bool,
    device: DeviceFile,
}

pub(super) async fn run(
    arguments: &PersonArguments,
    verb: Verb,
    configuration: &Configuration,
) -> anyhow::Result<Answer> {
    let registry = Remote::find(arguments.url.as_ref(), configuration)?;
    let is_asked = terminal::is_interactive() && !arguments.yes;
    if !is_asked && arguments.files.is_empty() {
        bail!(
            "nobody can be asked here whether to {} what is staged, so name every file that you looked at with --file name=sha256; \
             `portcullis release list --json` on the server shows names and digests",
            verb.as_str()
        );
    }
    let named: Files = arguments.files.iter().cloned().collect();
    let mut person = Person::ask(arguments, &registry)?;
    let files = if is_asked {
        let reply = person
            .post(
                &registry,
                &["api", "projects", &project(arguments), "staged"],
                None,
            )
            .await?;
        if !reply.is_success() {
            return person.refused(&reply);
        }
        let Some(staged) = files_of(&reply.body, &arguments.version) else {
            bail!(
                "project {} has no staged release {}",
                printable(&arguments.project),
                arguments.version
            );
        };
        if !named.is_empty() && named != digests(&staged) {
            eprint!("{}", shown(&staged));
            bail!(
                "these files are staged and not those that were named with --file; nothing was done"
            );
        }
        eprint!("{}", shown(&staged));
        if !terminal::ask_yes(&verb.question(staged.len()))? {
            return Ok(
                Answer::new("nothing was done", json!({ "outcome": "nothing" })).with_code(1),
            );
        }
        digests(&staged)
    } else {
        named
    };
    let version = arguments.version.to_string();
    let (project, mut tries) = (project(arguments), 1);
    loop {
        let reply = person
            .post(
                &registry,
                &[
                    "api",
                    "projects",
                    &project,
                    "releases",
                    &version,
                    verb.as_str(),
                ],
                Some(&files),
            )
            .await?;
        if reply.is_success() {
            return Ok(told(&reply.body));
        }
        // Reviewing took longer than a code is valid, but the code was right a moment ago.
        if !(is_asked
            && person.may_ask_for_codes
            && reply.reason() == "wrong-credentials"
            && tries < CODES)
        {
            return person.refused(&reply);
        }
        tries += 1;
        eprintln!("the registry no longer accepts this one-time code: look for the next one");
        person.code = Secret::new(terminal::ask_line("One-time code")?);
    }
}

fn project(arguments: &PersonArguments) -> String {
    model::name::normalize(&arguments.project)
}

impl Person {
    /// Shows who will receive the password, then asks for it.
    fn ask(arguments: &PersonArguments, registry: &Remote) -> anyhow::Result<Self> {
        let user = match &arguments.user {
            Some(user) => user.clone(),
            None => user_name(&terminal::ask_line("User")?)
                .map_err(|error| anyhow::anyhow!("{error}; give --user"))?,
        };
        let device = DeviceFile::of(registry.address(), &user)?;
        eprintln!("to {}, as {}", registry.address(), user.as_written());
        let password = match std::env::var("PORTCULLIS_PASSWORD") {
            Ok(password) => Secret::new(password),
            Err(_) => terminal::ask_secret("Password", "set PORTCULLIS_PASSWORD")?,
        };
        let (code, may_ask_for_codes) = match std::env::var("PORTCULLIS_TOTP") {
            Ok(code) => (code, false),
            Err(_) => (
                terminal::ask_line("One-time code (empty if you have none)")?,
                true,
            ),
        };
        Ok(Self {
            user,
            password,
            code: Secret::new(code.trim().to_owned()),
            may_ask_for_codes,
            device,
        })
    }

    /// Sends the credentials. The registry checks a code, and uses it up only for an action.
    async fn post(
        &self,
        registry: &Remote,
        path: &[&str],
        files: Option<&Files>,
    ) -> anyhow::Result<Reply> {
        let code = Some(self.code.expose().as_str()).filter(|code| !code.is_empty());
        let device = self.device.read()?;
        let body = json!({
            "user": self.user.as_written(), "password": self.password.expose(), "totp": code,
            "device": device.as_ref().map(|device| device.expose().as_str()), "host": own_host(&host_name()), "files": files,
        });
        registry.post(path, &body).await
    }

    /// A refusal. The secret of this command line is stored, and not shown.
    fn refused(&self, reply: &Reply) -> anyhow::Result<Answer> {
        let mut body = reply.body.clone();
        let device = body.as_object_mut().and_then(|body| body.remove("device"));
        let mut answer = refused(reply.status, &body);
        if let Some(device) = device.as_ref().and_then(Value::as_str) {
            self.device.write(device)?;
            let kept = format!(
                "What identifies this command line to the registry is stored in {}.\n",
                self.device.path().display()
            );
            answer
                .remarks
                .push_str("Open the link in your mail, and then run the same command again.\n");
            answer.remarks.push_str(&kept);
        }
        Ok(answer)
    }
}

/// The name of this machine in the form that the registry takes: the first part, in plain letters.
fn own_host(name: &str) -> Option<String> {
    let first = name.split('.').next().unwrap_or("");
    let plain: String = first
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == '-')
        .take(MAX_HOST)
        .collect();
    Some(plain).filter(|name| !name.is_empty())
}

/// The staged files of a version, as the registry lists them.
fn files_of<'a>(body: &'a Value, version: &Version) -> Option<Vec<&'a Value>> {
    let is_it = |release: &&Value| {
        release["version"]
            .as_str()
            .and_then(|text| Version::parse(text).ok())
            .as_ref()
            == Some(version)
    };
    let release = body["staged"].as_array()?.iter().find(is_it)?;
    Some(release["files"].as_array()?.iter().collect()).filter(|files: &Vec<_>| !files.is_empty())
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or("")
}

fn digests(files: &[&Value]) -> Files {
    files
        .iter()
        .map(|file| {
            (
                text(file, "filename").to_owned(),
                text(file, "sha256").to_ascii_lowercase(),
            )
        })
        .collect()
}

/// Each file with its distinguishing properties and who staged it.
fn shown(files: &[&Value]) -> String {
    let one = |file: &&Value| {
        let by = &file["staged_by"];
        let token = &by["token"];
        let by = by_whom(
            by["user"].as_str(),
            token["description"].as_str(),
            token["id"].as_str(),
        );
        let at = text(file, "uploaded_at");
        let at = at
            .split_once('.')
            .map_or(at.to_owned(), |(seconds, _)| format!("{seconds}Z"));
        format!(
            "{}\n  {} bytes, sha256 {}\n  staged {} by {by}\n",
            printable(text(file, "filename")),
            file["size"],
            printable(text(file, "sha256")),
            printable(&at),
        )
    };
    files.iter().map(one).collect()
}

fn told(body: &Value) -> Answer {
    let field = |name: &str| printable(body[name].as_str().unwrap_or(""));
    let files: Vec<String> = body["files"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(printable)
        .collect();
    let warnings: Vec<String> = body["warnings"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(printable)
        .collect();
    let mut text = format!(
        "{} {} is {}",
        field("project"),
        field("version"),
        field("outcome")
    );
    for file in files {
        text.push_str(&format!("\n  {file}"));
    }
    Answer::new(text, body.clone()).with_remarks(
        warnings
            .iter()
            .map(|warning| format!("warning: {warning}\n"))
            .collect::<String>(),
    )
}

/// A refusal with everything that helps.
fn refused(status: u16, body: &Value) -> Answer {
    let mut remarks = String::new();
    let mut told = Vec::new();
    for reason in body["reasons"].as_array().into_iter().flatten() {
        let part = |name: &str| {
            reason[name]
                .as_str()
                .map(printable)
                .filter(|text| !text.is_empty())
        };
        let parts: Vec<String> = [part("message"), part("remedy"), part("url")]
            .into_iter()
            .flatten()
            .collect();
        told.push(parts.join(" "));
    }
    if told.is_empty() {
        let message = body["message"].as_str().map_or_else(
            || format!("the registry answered with status {status}"),
            printable,
        );
        told.push(message);
    }
    remarks.extend(told.iter().map(|told| format!("refused: {told}\n")));
    if let Some(decision) = body["decision"].as_str() {
        remarks.push_str(&format!(
            "Its operators learn all about it with `portcullis explain {}`.\n",
            printable(decision)
        ));
    }
    // As with every other failing command, `error` has the whole text.
    let mut json = body.clone();
    if !json.is_object() {
        json = json!({});
    }
    json["error"] = told.join("; ").into();
    Answer::new("", json).with_remarks(remarks).with_code(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_shows_message_remedy_address_and_decision() {
        let body = json!({ "decision": "0189", "reasons": [{ "code": "c", "message": "No second factor.", "remedy": "Enroll one.", "url": "http://h/help/#second-factor" }] });
        let answer = refused(403, &body);
        assert_eq!(answer.code, 1);
        for part in [
            "No second factor. Enroll one. http://h/help/#second-factor",
            "0189",
        ] {
            assert!(answer.remarks.contains(part), "{}", answer.remarks);
        }
        assert_eq!(
            answer.json["error"],
            "No second factor. Enroll one. http://h/help/#second-factor"
        );
        assert_eq!(answer.json["reasons"], body["reasons"]);
        let unreadable = refused(502, &Value::Null);
        assert!(
            unreadable.remarks.contains("502")
                && unreadable.json["error"].as_str().unwrap().contains("502")
        );
    }

    #[test]
    fn every_file_is_shown_with_its_digest_and_who_staged_it() {
        let body = json!({ "staged": [
            { "version": "1.0", "files": [] },
            { "version": "2.0", "files": [
                { "filename": "a.whl", "size": 12, "sha256": "AB", "uploaded_at": "2026-01-05T12:00:00.123Z",
                  "staged_by": { "user": "ana", "token": { "id": "0189", "description": "ci" } } },
                { "filename": "b\u{1b}.whl", "size": 3, "sha256": "cd", "uploaded_at": "2026-01-05T12:00:01Z", "staged_by": { "user": "mallory", "token": null } },
            ] },
        ] });
        let version = |text| Version::parse(text).unwrap();
        let files = files_of(&body, &version("2.0.0")).unwrap();
        let expected = "a.whl\n  12 bytes, sha256 AB\n  staged 2026-01-05T12:00:00Z by ana, token \"ci\" (0189)\n\
                        b\u{fffd}.whl\n  3 bytes, sha256 cd\n  staged 2026-01-05T12:00:01Z by mallory, no token\n";
        assert_eq!(shown(&files), expected);
        assert_eq!(digests(&files)["a.whl"], "ab");
        assert!(
            files_of(&body, &version("1.0")).is_none()
                && files_of(&body, &version("3.0")).is_none()
        );
        assert_eq!(
            (Verb::Publish.question(1), Verb::Reject.question(3)),
            (
                "Publish this file?".to_owned(),
                "Reject these 3 files?".to_owned()
            )
        );
    }

    #[test]
    fn a_machine_is_called_by_one_plain_word() {
        assert_eq!(own_host("build-7.example.org").as_deref(), Some("build-7"));
        assert_eq!(own_host("w\u{f6}rk_station").as_deref(), Some("wrkstation"));
        assert_eq!(
            own_host(&"a".repeat(64)).map(|name| name.len()),
            Some(MAX_HOST)
        );
        assert_eq!(own_host("."), None);
    }
}
