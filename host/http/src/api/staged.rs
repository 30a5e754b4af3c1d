//! Staged releases: listed, published, rejected.

use axum::http::StatusCode;
use model::Version;
use registry::staging::{Released, StagingError};
use registry::targets::{PublishRelease, RejectRelease};
use serde_json::{Value, json};
use storage::releases::{StagedBy, StagedRelease};

use crate::exchange::{Exchange, json};
use crate::problem::{Answer, Problem};
use crate::proof::are_expected;

/// `GET /api/projects/{project}/staged`, and `POST` for a person who proves their identity in the
/// call.
pub(crate) async fn list(exchange: Exchange) -> Answer {
    let registry = &exchange.app.registry;
    let name = exchange.project().ok_or_else(no_such_name)?;
    let target = registry
        .load_preview(Some(&exchange.caller), Some(name.normalized()))
        .await
        .map_err(|error| exchange.unavailable(error))?;
    // Looking changes nothing, so the code stays unspent for what the person does next.
    let permit = exchange.decide_look(target).await?;
    let releases = registry
        .staged_releases(permit)
        .await
        .map_err(|error| exchange.unavailable(error))?;
    json(
        &json!({ "project": name.normalized(), "staged": releases.iter().map(describe).collect::<Vec<_>>() }),
    )
}

/// `POST /api/projects/{project}/releases/{version}/publish`
pub(crate) async fn publish(exchange: Exchange) -> Answer {
    let registry = &exchange.app.registry;
    let (project, version) = release(&exchange)?;
    let target = registry
        .load_publish(Some(&exchange.caller), &project, &version)
        .await
        .map_err(|error| exchange.unavailable(error))?;
    let possible = |target: &PublishRelease| {
        check_files(&exchange, &project, &version, target.files())?;
        registry
            .check_publish(target)
            .map_err(|error| failed(&exchange, error))
    };
    let permit = exchange.decide_possible(target, possible).await?;
    let warnings = messages(permit.warnings());
    let released = registry
        .publish_release(permit)
        .await
        .map_err(|error| failed(&exchange, error))?;
    json(&outcome("published", released, warnings))
}

/// `POST /api/projects/{project}/releases/{version}/reject`
pub(crate) async fn reject(exchange: Exchange) -> Answer {
    let registry = &exchange.app.registry;
    let (project, version) = release(&exchange)?;
    let target = registry
        .load_reject(Some(&exchange.caller), &project, &version)
        .await
        .map_err(|error| exchange.unavailable(error))?;
    let possible =
        |target: &RejectRelease| check_files(&exchange, &project, &version, target.files());
    let permit = exchange.decide_possible(target, possible).await?;
    let warnings = messages(permit.warnings());
    let released = registry
        .reject_release(permit)
        .await
        .map_err(|error| failed(&exchange, error))?;
    json(&outcome("rejected", released, warnings))
}

/// Project and version from the path.
fn release(exchange: &Exchange) -> Result<(String, Version), Problem> {
    let name = exchange.project().ok_or_else(no_such_name)?;
    let version = Version::parse(exchange.parameters.get("version"))
        .map_err(|error| Problem::new(StatusCode::NOT_FOUND, "not-found", error.to_string()))?;
    Ok((name.normalized().to_owned(), version))
}

fn no_such_name() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "not-found",
        "No project can have this name.",
    )
}

/// Checks that there are staged files, and that they are the ones the person looked at: only named
/// files are published or rejected. From here on the use case makes sure that they stay the same.
fn check_files<'a>(
    exchange: &Exchange,
    project: &str,
    version: &Version,
    staged: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<(), Problem> {
    let staged: Vec<(&str, &str)> = staged.collect();
    if staged.is_empty() {
        return Err(failed(
            exchange,
            StagingError::NotStaged {
                project: project.to_owned(),
                version: version.to_string(),
            },
        ));
    }
    match &exchange.expected_files {
        None => {
            let message = format!(
                "The request does not name the staged files of release {version} of project '{project}'."
            );
            let remedy = format!(
                "Look at what is staged: {}/api/projects/{project}/staged. Then send name and SHA-256 of each file as \"files\".",
                exchange.app.public_url()
            );
            Err(
                Problem::new(StatusCode::BAD_REQUEST, "files-missing", message)
                    .remedy(remedy, Some(gate::Page::StagedReleases)),
            )
        }
        Some(expected) if !are_expected(&staged, expected) => {
            let message = format!(
                "The staged files of release {version} of project '{project}' are not those of this request."
            );
            let remedy =
                "Look at what is staged again: a file was added, removed or replaced since.";
            Err(Problem::new(StatusCode::CONFLICT, "other-files", message)
                .remedy(remedy, Some(gate::Page::StagedReleases)))
        }
        Some(_) => Ok(()),
    }
}

fn failed(exchange: &Exchange, error: StagingError) -> Problem {
    match error {
        StagingError::NotStaged { .. } => {
            Problem::new(StatusCode::NOT_FOUND, "not-staged", format!("The {error}."))
        }
        StagingError::Overtaken { .. } => {
            Problem::new(StatusCode::CONFLICT, "overtaken", format!("The {error}."))
        }
        StagingError::Closed { .. } => Problem::new(
            StatusCode::CONFLICT,
            "release-too-old",
            format!("The {error}."),
        ),
        StagingError::Storage(error) => exchange.unavailable(error),
    }
}

fn outcome(word: &str, released: Released, warnings: Vec<String>) -> Value {
    json!({ "outcome": word, "project": released.project, "version": released.version, "files": released.files, "warnings": warnings })
}

fn messages(reasons: &[gate::Reason]) -> Vec<String> {
    reasons
        .iter()
        .map(|reason| {
            format!("{} {}", reason.message, reason.remedy)
                .trim_end()
                .to_owned()
        })
        .collect()
}

fn describe(staged: &StagedRelease) -> Value {
    let file = |(file, by): (&storage::files::FileRow, &StagedBy)| {
        let token = file
            .uploaded_with
            .map(|id| json!({ "id": id.to_string(), "description": by.token_description }));
        json!({
            "filename": file.name, "size": file.size, "uploaded_at": file.uploaded_at.to_string(),
            "sha256": file.digests.sha256_hex(), "blake2b_256": file.digests.blake2_256_hex(),
            "staged_by": { "user": by.user, "token": token },
        })
    };
    json!({
        "version": staged.release.version.to_string(), "created_at": staged.release.created_at.to_string(),
        "files": staged.files.iter().zip(&staged.staged_by).map(file).collect::<Vec<_>>(),
    })
}
