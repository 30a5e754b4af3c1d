//! `portcullis release`.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use clap::{Args, Subcommand};
use identity::Secret;
use model::{UserName, Version};
use reqwest::Url;
use serde_json::{Value, json};

use super::user_name;
use crate::answer::{Answer, columns, moment, printable};
use crate::command_line::CommandLine;
use crate::configuration::Configuration;
use crate::terminal;

const PERSON_HELP: &str = "\
Password and one-time code are asked for on the terminal, or read from the environment variables
PORTCULLIS_PASSWORD and PORTCULLIS_TOTP. The running registry decides: its policies are asked as they are
for everybody else, and a refusal says what to do.";

#[derive(Debug, Subcommand)]
pub(crate) enum ReleaseCommand {
    /// List staged releases, oldest first. Reads the database directly.
    List {
        /// Only this project's.
        project: Option<String>,
    },
    /// Make all staged files of a release visible at once.
    #[command(after_help = PERSON_HELP)]
    Publish(PersonArguments),
    /// Throw the staged files of a release away. Their names are free again.
    #[command(after_help = PERSON_HELP)]
    Reject(PersonArguments),
}

#[derive(Debug, Args)]
pub(crate) struct PersonArguments {
    /// The project.
    project: String,
    /// The version.
    #[arg(value_parser = version)]
    version: Version,
    /// Who does it; asked for when left out.
    #[arg(long, value_name = "user", value_parser = user_name)]
    user: Option<UserName>,
    /// A file you looked at and its SHA-256, once for each file: if anything else is staged
    /// by now, nothing happens.
    #[arg(long = "file", value_name = "name=sha256", value_parser = expected_file)]
    files: Vec<(String, String)>,
    /// Address of the registry; public-url of the configuration when left out.
    #[arg(long, value_name = "url")]
    url: Option<Url>,
}

fn version(text: &str) -> Result<Version, String> {
    Version::parse(text).map_err(|error| error.to_string())
}

fn expected_file(text: &str) -> Result<(String, String), String> {
    let is_digest = |text: &str| text.len() == 64 && text.bytes().all(|c| c.is_ascii_hexdigit());
    match text.rsplit_once('=') {
        Some((name, sha256)) if !name.is_empty() && is_digest(sha256) => Ok((name.to_owned(), sha256.to_ascii_lowercase())),
        _ => Err("give the file name, =, and the SHA-256 of the file in 64 hexadecimal digits".to_owned()),
    }
}

/// Commands that speak to the running registry and need no database.
pub(crate) async fn run_remote(command: &ReleaseCommand, configuration: &Configuration) -> Option<anyhow::Result<Answer>> {
    match command {
        ReleaseCommand::List { .. } => None,
        ReleaseCommand::Publish(arguments) => Some(ask(arguments, "publish", configuration).await),
        ReleaseCommand::Reject(arguments) => Some(ask(arguments, "reject", configuration).await),
    }
}

pub(crate) async fn run(command: ReleaseCommand, line: &CommandLine) -> anyhow::Result<Answer> {
    match command {
        ReleaseCommand::List { project } => list(line, project.as_deref()).await,
        ReleaseCommand::Publish(_) | ReleaseCommand::Reject(_) => unreachable!("`run_remote` runs these"),
    }
}

async fn list(line: &CommandLine, project: Option<&str>) -> anyhow::Result<Answer> {
    let target = line.registry.load_preview(None, project).await?;
    let releases = line.registry.staged_releases(line.permit(target).await?).await?;
    if releases.is_empty() {
        return Ok(Answer::new("nothing is staged; uploads wait here once a policy stages them", json!([])));
    }
    let mut rows = vec![["project", "version", "files", "since"].map(str::to_owned).to_vec()];
    rows.extend(releases.iter().map(|staged| {
        let files: Vec<&str> = staged.files.iter().map(|file| file.name.as_str()).collect();
        let since = staged.files.iter().map(|file| file.uploaded_at).min().unwrap_or(staged.release.created_at);
        vec![staged.project_name.to_string(), staged.release.version.to_string(), files.join(" "), moment(since)]
    }));
    let json = releases.iter().map(|staged| {
        json!({
            "project": staged.project_name.normalized(), "version": staged.release.version.to_string(),
            "files": staged.files.iter().map(|file| json!({ "name": file.name, "bytes": file.size, "sha256": file.digests.sha256_hex(), "uploaded": file.uploaded_at.to_string() })).collect::<Vec<_>>(),
        })
    });
    Ok(Answer::new(columns(&rows), json.collect()))
}

/// Asks the registry to do something with a release, as a person who proves password and
/// second factor in this very call.
async fn ask(arguments: &PersonArguments, verb: &str, configuration: &Configuration) -> anyhow::Result<Answer> {
    let base = match &arguments.url {
        Some(url) => url.clone(),
        None => Url::parse(&configuration.public_url(configuration.values.listen).0)?,
    };
    check_protected(&base, configuration)?;
    let mut url = base.clone();
    url.path_segments_mut().map_err(|()| anyhow::anyhow!("{base} is no address of a registry"))?.clear().extend([
        "api",
        "projects",
        &model::name::normalize(&arguments.project),
        "releases",
        &arguments.version.to_string(),
        verb,
    ]);

    let user = match &arguments.user {
        Some(user) => user.clone(),
        None => user_name(&terminal::ask_line("User")?).map_err(|error| anyhow::anyhow!("{error}; give --user"))?,
    };
    let password = match std::env::var("PORTCULLIS_PASSWORD") {
        Ok(password) => Secret::new(password),
        Err(_) => terminal::ask_secret("Password", "set PORTCULLIS_PASSWORD")?,
    };
    let totp = match std::env::var("PORTCULLIS_TOTP") {
        Ok(code) => code,
        Err(_) => terminal::ask_line("One-time code (empty if you have none)")?,
    };

    // A redirect would carry the password to an address nobody chose.
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(Duration::from_secs(10))
        .timeout(Duration::from_secs(60))
        .user_agent(concat!("portcullis/", env!("CARGO_PKG_VERSION")))
        .build()?;
    let totp = Some(totp.trim()).filter(|code| !code.is_empty());
    let mut body = json!({ "user": user.as_written(), "password": password.expose(), "totp": totp });
    if !arguments.files.is_empty() {
        body["files"] = arguments.files.iter().map(|(name, sha256)| (name.clone(), Value::from(sha256.as_str()))).collect();
    }
    let response = client
        .post(url.clone())
        .header("accept", "application/json")
        .json(&body)
        .send()
        .await
        .with_context(|| format!("cannot reach the registry at {base} (is it running?)"))?;
    let status = response.status();
    let text = response.text().await.context("the registry's answer broke off")?;
    let body: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
    if status.is_success() {
        return Ok(told(&body));
    }
    if status.is_redirection() {
        bail!("{base} sends requests elsewhere; give the registry's own address with --url");
    }
    Ok(refused(status.as_u16(), &body))
}

/// A password goes out in clear text only to this machine, or where the operator said so.
fn check_protected(url: &Url, configuration: &Configuration) -> anyhow::Result<()> {
    let host = url.host_str().unwrap_or("");
    ensure!(matches!(url.scheme(), "https" | "http"), "{url} is no address of a registry; it begins with https://");
    let is_local = host == "localhost" || host.trim_matches(['[', ']']).parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback());
    ensure!(
        url.scheme() == "https" || is_local || configuration.values.insecure_http,
        "refusing to send a password to {url} in clear text; use its https:// address, or give --insecure-http"
    );
    Ok(())
}

fn told(body: &Value) -> Answer {
    let field = |name: &str| printable(body[name].as_str().unwrap_or(""));
    let files: Vec<String> = body["files"].as_array().into_iter().flatten().filter_map(Value::as_str).map(printable).collect();
    let warnings: Vec<String> = body["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str).map(printable).collect();
    let mut text = format!("{} {} is {}", field("project"), field("version"), field("outcome"));
    for file in files {
        text.push_str(&format!("\n  {file}"));
    }
    Answer::new(text, body.clone()).with_remarks(warnings.iter().map(|warning| format!("warning: {warning}\n")).collect::<String>())
}

/// A refusal with everything that helps.
fn refused(status: u16, body: &Value) -> Answer {
    let mut remarks = String::new();
    let mut told = Vec::new();
    for reason in body["reasons"].as_array().into_iter().flatten() {
        let part = |name: &str| reason[name].as_str().map(printable).filter(|text| !text.is_empty());
        let parts: Vec<String> = [part("message"), part("remedy"), part("url")].into_iter().flatten().collect();
        told.push(parts.join(" "));
    }
    if told.is_empty() {
        let message = body["message"].as_str().map_or_else(|| format!("the registry answered with status {status}"), printable);
        told.push(message);
    }
    remarks.extend(told.iter().map(|told| format!("refused: {told}\n")));
    if let Some(decision) = body["decision"].as_str() {
        remarks.push_str(&format!("Its operators learn all about it with `portcullis explain {}`.\n", printable(decision)));
    }
    // As with every other command that fails, `error` says it all in one text.
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
    use crate::configuration::Layers;

    #[test]
    fn a_password_is_not_sent_in_clear_text_beyond_this_machine() {
        let configuration = Configuration::from_layers(Layers::default()).unwrap();
        for address in ["https://packages.example.org", "http://127.0.0.1:8080", "http://[::1]:8080", "http://localhost"] {
            check_protected(&Url::parse(address).unwrap(), &configuration).unwrap();
        }
        for address in ["http://packages.example.org", "http://127.0.0.1.example.org", "http://10.0.0.1", "ftp://localhost.example"] {
            assert!(check_protected(&Url::parse(address).unwrap(), &configuration).is_err(), "{address}");
        }
    }

    #[test]
    fn a_file_that_was_looked_at_is_a_name_and_a_digest() {
        let digest = "Ab".repeat(32);
        assert_eq!(expected_file(&format!("a-1.0.whl={digest}")), Ok(("a-1.0.whl".to_owned(), digest.to_lowercase())));
        for text in ["a-1.0.whl", "a-1.0.whl=", "a-1.0.whl=abc", &format!("={digest}")] {
            assert!(expected_file(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_refusal_shows_message_remedy_address_and_decision() {
        let body = json!({ "decision": "0189", "reasons": [{ "code": "c", "message": "No second factor.", "remedy": "Enroll one.", "url": "http://h/help/#second-factor" }] });
        let answer = refused(403, &body);
        assert_eq!(answer.code, 1);
        for part in ["No second factor. Enroll one. http://h/help/#second-factor", "0189"] {
            assert!(answer.remarks.contains(part), "{}", answer.remarks);
        }
        assert_eq!(answer.json["error"], "No second factor. Enroll one. http://h/help/#second-factor");
        assert_eq!(answer.json["reasons"], body["reasons"]);
        let unreadable = refused(502, &Value::Null);
        assert!(unreadable.remarks.contains("502") && unreadable.json["error"].as_str().unwrap().contains("502"));
    }
}
