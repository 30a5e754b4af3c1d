//! `portcullis project`.

use std::collections::HashSet;

use anyhow::{Context as _, bail, ensure};
use clap::{Subcommand, ValueEnum};
use model::{ProjectName, ProjectStatus, Role, UserName};
use serde_json::{Map, Value, json};
use storage::projects::{IndexEntry, ProjectRow};

use super::removal::{self, Deletion};
use super::user_name;
use crate::answer::{Answer, columns, moment, moment_or, printable};
use crate::command_line::CommandLine;

#[derive(Debug, Subcommand)]
pub(crate) enum ProjectCommand {
    /// List the projects that readers can see.
    List,
    /// Show a project with roles, settings and staged releases.
    Show {
        /// The project.
        project: String,
    },
    /// Create an empty project for a user to upload to later.
    ///
    /// Usually the first upload creates a project. Use this command for a reserved name, or to hold
    /// a name for someone.
    #[command(after_help = "Example:\n  portcullis project create pip --owner alice")]
    Create {
        /// The project.
        #[arg(value_parser = project_name)]
        project: ProjectName,
        /// The owner.
        #[arg(long, value_name = "user", value_parser = user_name)]
        owner: UserName,
    },
    /// Delete a project with all its releases. Its name and those of its files stay taken.
    #[command(after_help = "Example:\n  portcullis project delete my-project --reason 'malware'")]
    Delete {
        /// The project.
        project: String,
        #[command(flatten)]
        why: Deletion,
    },
    /// Give a user a role on a project, or remove it.
    #[command(
        after_help = "Examples:\n  portcullis project role my-project alice owner\n  portcullis project role my-project alice none"
    )]
    Role {
        /// The project.
        project: String,
        /// The user.
        #[arg(value_parser = user_name)]
        user: UserName,
        /// The role; `none` removes it.
        role: RoleChoice,
    },
    /// Show or set the choices of a project's owners for a policy.
    ///
    /// `portcullis policy forms` lists the settings that a policy offers. Settings that are not
    /// named stay unchanged.
    #[command(
        after_help = "Examples:\n  portcullis project settings my-project\n  portcullis project settings my-project owner-mandate second-factor=true\n  portcullis project settings my-project owner-mandate --clear"
    )]
    Settings {
        /// The project.
        project: String,
        /// The policy.
        policy: Option<String>,
        /// Settings as name=value; a value is JSON, or else text, and null resets the setting.
        #[arg(value_name = "name=value", value_parser = assignment, requires = "policy")]
        settings: Vec<(String, Value)>,
        /// Reset all settings of this policy.
        #[arg(long, requires = "policy", conflicts_with = "settings")]
        clear: bool,
    },
    /// Set a project's status.
    Status {
        /// The project.
        project: String,
        /// Active: open for uploads. Archived: readable, closed. Quarantined: hidden for
        /// safety. Deprecated: open, but not recommended.
        status: StatusChoice,
        /// Why, for readers.
        #[arg(long, value_name = "text")]
        reason: Option<String>,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum RoleChoice {
    Owner,
    Maintainer,
    None,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum StatusChoice {
    Active,
    Archived,
    Quarantined,
    Deprecated,
}

impl From<StatusChoice> for ProjectStatus {
    fn from(choice: StatusChoice) -> Self {
        match choice {
            StatusChoice::Active => ProjectStatus::Active,
            StatusChoice::Archived => ProjectStatus::Archived,
            StatusChoice::Quarantined => ProjectStatus::Quarantined,
            StatusChoice::Deprecated => ProjectStatus::Deprecated,
        }
    }
}

fn project_name(text: &str) -> Result<ProjectName, String> {
    ProjectName::parse(text).map_err(|error| error.to_string())
}

fn assignment(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or_else(|| format!("`{text}` is no setting; write name=value"))?;
    let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
    Ok((name.to_owned(), value))
}

pub(crate) async fn run(command: ProjectCommand, line: &CommandLine) -> anyhow::Result<Answer> {
    match command {
        ProjectCommand::List => list(line).await,
        ProjectCommand::Show { project } => show(line, &project).await,
        ProjectCommand::Create { project, owner } => {
            let target = line.registry.load_create(&project, &owner).await?;
            line.registry
                .create_project(line.permit(target).await?)
                .await?;
            let json = json!({ "project": project.normalized(), "owner": owner.as_written() });
            Ok(Answer::new(
                format!(
                    "{project} is created, and {owner} owns it; readers see it once something is published"
                ),
                json,
            ))
        }
        ProjectCommand::Delete { project, why } => {
            removal::delete_project(line, project, why).await
        }
        ProjectCommand::Role {
            project,
            user,
            role,
        } => change_role(line, &project, &user, role).await,
        ProjectCommand::Settings {
            project,
            policy: None,
            ..
        } => show_settings(line, &project).await,
        ProjectCommand::Settings {
            project,
            policy: Some(policy),
            settings,
            clear,
        } => {
            if settings.is_empty() && !clear {
                bail!(
                    "say what to set as name=value, or --clear to take everything back; `portcullis project settings {project}` shows what is set"
                );
            }
            let mut chosen = Map::new();
            for (name, value) in settings {
                ensure!(
                    chosen.insert(name.clone(), value).is_none(),
                    "setting `{name}` is given twice"
                );
            }
            configure(line, &project, &policy, chosen, clear).await
        }
        ProjectCommand::Status {
            project,
            status,
            reason,
        } => {
            let target = line
                .registry
                .load_set_status(None, &project, status.into(), reason.as_deref())
                .await?;
            target.check()?;
            line.registry
                .set_project_status(line.permit(target).await?)
                .await?;
            let status = ProjectStatus::from(status);
            Ok(Answer::new(
                format!("{project} is {status}"),
                json!({ "project": project, "status": status.as_str() }),
            ))
        }
    }
}

async fn find(line: &CommandLine, project: &str) -> anyhow::Result<ProjectRow> {
    let normalized = model::name::normalize(project);
    line.storage.project(&normalized).await?.with_context(|| {
        format!("there is no project `{project}`; the first upload creates a project")
    })
}

async fn list(line: &CommandLine) -> anyhow::Result<Answer> {
    const PAGE: u32 = 5000;
    let mut projects: Vec<IndexEntry> = Vec::new();
    loop {
        let after = projects.last().map_or("", |last| &last.normalized);
        let page = line.storage.index(after, PAGE).await?;
        if page.is_empty() {
            break;
        }
        projects.extend(page);
    }
    if projects.is_empty() {
        return Ok(Answer::new(
            "there is no public project yet; the first upload creates a project, which is public once a release is published",
            json!([]),
        ));
    }
    let mut rows = vec![["name", "status", "serial"].map(str::to_owned).to_vec()];
    rows.extend(projects.iter().map(|project| {
        vec![
            project.written.clone(),
            project.status.to_string(),
            project.last_serial.to_string(),
        ]
    }));
    let json = projects
        .iter()
        .map(|project| json!({ "name": project.written, "normalized": project.normalized, "status": project.status.as_str(), "serial": project.last_serial }));
    Ok(Answer::new(columns(&rows), json.collect()))
}

async fn show(line: &CommandLine, project: &str) -> anyhow::Result<Answer> {
    let project = find(line, project).await?;
    let roles = line.storage.roles_on(project.id).await?;
    let settings = line.storage.project_settings(project.id).await?;
    let staged = line.storage.staged_releases(project.id).await?;
    let mut published = line.storage.published_releases(project.id).await?;
    published.sort_by(|left, right| right.version.cmp(&left.version));
    let size = line.storage.project_size(project.id).await?;

    let mut status = project.status.to_string();
    if let Some(reason) = &project.status_reason {
        status.push_str(&format!(": {}", printable(reason)));
    }
    let mut rows = vec![
        vec!["name".to_owned(), project.name.to_string()],
        vec!["status".into(), status],
        vec!["created".into(), moment(project.created_at)],
        vec![
            "published".into(),
            moment_or(project.published_at, "nothing yet"),
        ],
        vec!["size".into(), format!("{size} bytes")],
    ];
    rows.extend(
        roles
            .iter()
            .map(|role| vec![role.role.to_string(), role.user_name.to_string()]),
    );
    rows.extend(settings.iter().map(|(policy, chosen)| {
        vec![
            "settings".into(),
            format!(
                "{policy} {}",
                printable(&Value::Object(chosen.clone()).to_string())
            ),
        ]
    }));
    rows.extend(staged.iter().map(|staged| {
        vec![
            "staged".into(),
            format!(
                "{} ({} files since {})",
                staged.release.version,
                staged.files.len(),
                moment(staged.release.created_at)
            ),
        ]
    }));
    rows.extend(published.iter().take(10).map(|release| {
        vec![
            "release".into(),
            format!(
                "{} {}{}",
                release.version,
                moment_or(release.published_at, ""),
                if release.yanked.is_some() {
                    " (yanked)"
                } else {
                    ""
                }
            ),
        ]
    }));
    if published.len() > 10 {
        rows.push(vec![
            String::new(),
            format!("and {} more", published.len() - 10),
        ]);
    }
    let json = json!({
        "name": project.name.as_written(), "normalized": project.name.normalized(), "id": project.id.to_string(), "status": project.status.as_str(),
        "status-reason": project.status_reason, "created": project.created_at.to_string(), "published": project.published_at.map(|at| at.to_string()), "bytes": size,
        "roles": roles.iter().map(|role| json!({ "user": role.user_name.as_written(), "role": role.role.as_str() })).collect::<Vec<_>>(),
        "settings": settings.into_iter().map(|(policy, chosen)| (policy, Value::Object(chosen))).collect::<Map<_, _>>(),
        "staged": staged.iter().map(|staged| json!({ "version": staged.release.version.to_string(), "files": staged.files.iter().map(|file| file.name.clone()).collect::<Vec<_>>() })).collect::<Vec<_>>(),
        "releases": published.iter().map(|release| release.version.to_string()).collect::<Vec<_>>(),
    });
    Ok(Answer::new(columns(&rows), json))
}

async fn change_role(
    line: &CommandLine,
    project: &str,
    user: &UserName,
    role: RoleChoice,
) -> anyhow::Result<Answer> {
    let role = match role {
        RoleChoice::Owner => Some(Role::Owner),
        RoleChoice::Maintainer => Some(Role::Maintainer),
        RoleChoice::None => None,
    };
    let before = match role {
        Some(role) => {
            let target = line
                .registry
                .load_grant_role(None, project, user, role)
                .await?;
            target.check()?;
            line.registry.grant_role(line.permit(target).await?).await?
        }
        None => {
            let target = line.registry.load_revoke_role(None, project, user).await?;
            target.check()?;
            Some(
                line.registry
                    .revoke_role(line.permit(target).await?)
                    .await?,
            )
        }
    };
    let word = |role: Option<Role>| role.map_or("none", Role::as_str);
    Ok(Answer::new(
        format!("{user} on {project}: {} (was {})", word(role), word(before)),
        json!({ "project": project, "user": user.as_written(), "role": word(role), "before": word(before) }),
    ))
}

async fn show_settings(line: &CommandLine, project: &str) -> anyhow::Result<Answer> {
    let project = find(line, project).await?;
    let settings = line.storage.project_settings(project.id).await?;
    let offered = if settings.is_empty() {
        None
    } else {
        offered(line).await?
    };
    let mut rows = Vec::new();
    for (policy, chosen) in &settings {
        for (name, value) in chosen {
            // Chosen under another active set or another version of the policy.
            let is_offered = offered
                .as_ref()
                .is_none_or(|offered| offered.contains(&(policy.clone(), name.clone())));
            let remark = if is_offered {
                ""
            } else {
                "without effect: the active set does not offer it"
            };
            rows.push(vec![
                policy.clone(),
                name.clone(),
                printable(&value.to_string()),
                remark.to_owned(),
            ]);
        }
    }
    let text = if rows.is_empty() {
        format!(
            "nothing is chosen for {}; `portcullis policy forms` lists what can be",
            project.name
        )
    } else {
        columns(&rows)
    };
    Ok(Answer::new(
        text,
        Value::Object(
            settings
                .into_iter()
                .map(|(policy, chosen)| (policy, Value::Object(chosen)))
                .collect(),
        ),
    ))
}

/// Policy and name of each setting that the active set offers to owners; none without a set.
async fn offered(line: &CommandLine) -> anyhow::Result<Option<HashSet<(String, String)>>> {
    let Some(active) = line.storage.active_set().await? else {
        return Ok(None);
    };
    let set = gate::load_set(
        &line.storage,
        &line.engine()?,
        u64::try_from(active.set_number)?,
    )
    .await?;
    let names = |form: policy_engine::OwnerForm| {
        form.settings
            .into_iter()
            .map(move |setting| (form.policy.clone(), setting.name))
            .collect::<Vec<_>>()
    };
    Ok(Some(
        set.owner_forms().into_iter().flat_map(names).collect(),
    ))
}

async fn configure(
    line: &CommandLine,
    project: &str,
    policy: &str,
    chosen: Map<String, Value>,
    clear: bool,
) -> anyhow::Result<Answer> {
    // The active set defines the form: what it does not offer cannot be chosen, as over HTTP.
    let active =
        line.storage.active_set().await?.context("no policy set is active, so no policy offers settings; `portcullis policy apply` makes one active")?;
    let engine = line.engine()?;
    let set = gate::load_set(&line.storage, &engine, u64::try_from(active.set_number)?).await?;
    let chosen = if clear {
        Map::new()
    } else {
        with_earlier(line, &set, project, policy, chosen).await?
    };
    let target = line
        .registry
        .load_configure(None, project, policy, chosen.clone())
        .await?;
    target.check()?;
    let check = |policy: &str, form: &Value| set.check_owner_settings(policy, form).map(drop);
    line.registry
        .configure_project(line.permit(target).await?, check)
        .await?;
    let text = match chosen.is_empty() {
        true => format!("{policy} has no settings on {project} now; its defaults apply"),
        false => {
            let chosen: Vec<String> = chosen
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            format!("{policy} on {project}: {}", printable(&chosen.join(" ")))
        }
    };
    let chosen = Value::Object(chosen);
    Ok(Answer::new(
        text,
        json!({ "project": project, "policy": policy, "settings": chosen }),
    ))
}

/// Merges new choices into earlier ones, as far as the policy still offers them.
async fn with_earlier(
    line: &CommandLine,
    set: &policy_engine::PolicySet,
    project: &str,
    policy: &str,
    now: Map<String, Value>,
) -> anyhow::Result<Map<String, Value>> {
    let project = find(line, project).await?;
    let forms = set.owner_forms();
    let offered: Vec<&str> = forms
        .iter()
        .filter(|form| form.policy == policy)
        .flat_map(|form| &form.settings)
        .map(|setting| setting.name.as_str())
        .collect();
    let earlier = line
        .storage
        .project_settings(project.id)
        .await?
        .into_iter()
        .find(|(name, _)| name == policy)
        .map(|(_, chosen)| chosen)
        .unwrap_or_default();
    Ok(laid_over(
        earlier
            .into_iter()
            .filter(|(name, _)| offered.contains(&name.as_str()))
            .collect(),
        now,
    ))
}

fn laid_over(mut earlier: Map<String, Value>, now: Map<String, Value>) -> Map<String, Value> {
    for (name, value) in now {
        if value.is_null() {
            earlier.remove(&name);
        } else {
            earlier.insert(name, value);
        }
    }
    earlier
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_named_stays_chosen() {
        let map = |value: Value| value.as_object().unwrap().clone();
        let earlier = map(json!({ "second-factor": true, "fresh-within": 900 }));
        let now = map(json!({ "project-tokens-only": true, "fresh-within": null }));
        assert_eq!(
            laid_over(earlier, now),
            map(json!({ "second-factor": true, "project-tokens-only": true }))
        );
    }

    #[test]
    fn a_setting_is_json_or_else_text() {
        assert_eq!(
            assignment("on=true"),
            Ok(("on".to_owned(), Value::Bool(true)))
        );
        assert_eq!(
            assignment("within=900"),
            Ok(("within".to_owned(), json!(900)))
        );
        assert_eq!(
            assignment("mode=maintainers"),
            Ok(("mode".to_owned(), json!("maintainers")))
        );
        assert_eq!(
            assignment("list=[\"a\"]"),
            Ok(("list".to_owned(), json!(["a"])))
        );
        assert!(assignment("on").unwrap_err().contains("name=value"));
    }
}
