//! `portcullis user show`.

use model::UserName;
use serde_json::json;
use storage::recovery_codes::RecoveryCodes;

use crate::answer::{Answer, columns, moment, moment_or, printable};
use crate::command_line::CommandLine;

pub(crate) async fn show(line: &CommandLine, name: &UserName) -> anyhow::Result<Answer> {
    let user = line.user(name).await?;
    let emails = line.storage.emails(user.id).await?;
    let projects = line.storage.projects_of(user.id).await?;
    let tokens = line.storage.tokens_of(user.id).await?;
    let keys = line.storage.keys_of(user.id).await?;
    let codes = line.storage.recovery_codes_of(user.id).await?;
    let now = line.now();
    let idle_ms =
        i64::try_from(line.configuration.values.session_idle.as_millis()).unwrap_or(i64::MAX);
    let sessions = line
        .storage
        .sessions_of(
            user.id,
            model::Timestamp(now.0.saturating_sub(idle_ms)),
            now,
        )
        .await?;
    let recovery = line.storage.recovery_of(user.id).await?;

    let mut rows = vec![
        vec!["name".to_owned(), user.name.to_string()],
        vec!["id".to_owned(), user.id.to_string()],
        vec!["created".to_owned(), moment(user.created_at)],
    ];
    if let Some(at) = user.disabled_at {
        rows.push(vec![
            "disabled".into(),
            format!(
                "{}: {}",
                moment(at),
                printable(user.disabled_reason.as_deref().unwrap_or(""))
            ),
        ]);
    }
    let password = match (&user.password_hash, &user.password_disabled) {
        (None, _) => "none".to_owned(),
        (Some(_), Some(why)) => format!("disabled: {why}"),
        (Some(_), None) => format!("set {}", moment_or(user.password_set_at, "")),
    };
    rows.push(vec!["password".into(), password.clone()]);
    if let Some(at) = user.totp_enrolled_at {
        rows.push(vec![
            "second factor".into(),
            format!("totp, enrolled {}", moment(at)),
        ]);
    }
    for key in &keys {
        let used = moment_or(key.last_used_at, "never");
        rows.push(vec![
            "second factor".into(),
            format!(
                "{} {}, enrolled {}, last used {used}",
                key.kind.as_str(),
                printable(&key.name),
                moment(key.added_at)
            ),
        ]);
    }
    if user.totp_enrolled_at.is_none() && keys.is_empty() {
        rows.push(vec!["second factor".into(), "none".into()]);
    }
    rows.push(vec!["recovery codes".into(), recovery_codes(&codes)]);
    rows.push(vec!["sessions".into(), sessions.len().to_string()]);
    if let Some(recovery) = &recovery {
        let text = format!(
            "by {} at {}: {}",
            printable(&recovery.started_by),
            moment(recovery.effective_at),
            printable(&recovery.reason)
        );
        rows.push(vec!["recovery under way".into(), text]);
    }
    rows.push(vec![
        "staff".into(),
        if user.staff { "yes" } else { "no" }.into(),
    ]);
    for email in &emails {
        let state = email.verified_at.map_or_else(
            || "not verified".to_owned(),
            |at| format!("verified {}", moment(at)),
        );
        rows.push(vec![
            "email".into(),
            format!(
                "{}{}, {state}",
                printable(&email.address),
                if email.primary { " (primary)" } else { "" }
            ),
        ]);
    }
    for (project, role) in &projects {
        rows.push(vec!["role".into(), format!("{role} of {}", project.name)]);
    }
    rows.push(vec!["tokens".into(), tokens.len().to_string()]);
    let json = json!({
        "name": user.name.as_written(), "id": user.id.to_string(), "created": user.created_at.to_string(), "password": password,
        "keys": keys.iter().map(|key| json!({
            "id": key.id.to_string(), "name": key.name, "kind": key.kind.as_str(), "enrolled": key.added_at.to_string(),
            "last-used": key.last_used_at.map(|at| at.to_string()),
        })).collect::<Vec<_>>(),
        "recovery-codes": { "total": codes.total, "unused": codes.unused, "confirmed": codes.confirmed_at.map(|at| at.to_string()) },
        "sessions": sessions.iter().map(|session| session.id.to_string()).collect::<Vec<_>>(),
        "recovery": recovery.as_ref().map(|recovery| json!({
            "id": recovery.id.to_string(), "by": recovery.started_by, "reason": recovery.reason, "effective": recovery.effective_at.to_string(),
        })),
        "totp-enrolled": user.totp_enrolled_at.map(|at| at.to_string()), "staff": user.staff,
        "disabled": user.disabled_at.map(|at| at.to_string()), "disabled-reason": user.disabled_reason,
        "emails": emails.iter().map(|email| json!({ "address": email.address, "primary": email.primary, "verified": email.verified_at.map(|at| at.to_string()) })).collect::<Vec<_>>(),
        "roles": projects.iter().map(|(project, role)| json!({ "project": project.name.normalized(), "role": role.as_str() })).collect::<Vec<_>>(),
        "tokens": tokens.iter().map(|token| token.id.to_string()).collect::<Vec<_>>(),
    });
    Ok(Answer::new(columns(&rows), json))
}

fn recovery_codes(codes: &RecoveryCodes) -> String {
    match (codes.total, codes.confirmed_at) {
        (0, _) => "none".to_owned(),
        (total, Some(_)) => format!("{} of {total} unused", codes.unused),
        (total, None) => format!(
            "{} of {total} unused, not yet confirmed by using one",
            codes.unused
        ),
    }
}
