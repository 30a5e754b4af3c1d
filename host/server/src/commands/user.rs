//! `portcullis user`.

pub(crate) mod email;
mod keys;
mod life;
mod recovery;
mod sessions;
mod show;

use anyhow::{Context as _, bail, ensure};
use clap::{Subcommand, ValueEnum};
use identity::{
    Account, BreachOutcome, CreateUser, DisableUser, EnableUser, EnrollTotp, RemoveTotp, Secret,
    SetPassword, SetStaff,
};
use model::{Factors, UserName};
use serde_json::json;

use super::removal::Deletion;
use super::user_name;
use crate::answer::{Answer, columns, moment};
use crate::command_line::{CommandLine, quoted};
use crate::terminal;

#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Create a user.
    ///
    /// Asks for the password on the terminal; it is never a command line argument, because every
    /// user of this machine could see it there.
    #[command(
        after_help = "Examples:\n  portcullis user create alice --email alice@example.org --verified\n  pass show portcullis/alice | portcullis user create alice --password-stdin"
    )]
    Create {
        /// Name to log in with.
        #[arg(value_parser = user_name)]
        name: UserName,
        /// Email address.
        #[arg(long, value_name = "address")]
        email: Option<String>,
        /// The address is known to belong to the user.
        #[arg(long, requires = "email")]
        verified: bool,
        /// Make the user staff of the registry.
        #[arg(long)]
        staff: bool,
        /// Read the password from standard input.
        #[arg(long)]
        password_stdin: bool,
        /// Set no password: the user can only use tokens.
        #[arg(long, conflicts_with = "password_stdin")]
        no_password: bool,
        /// Accept a password that is known from a breach.
        #[arg(long)]
        allow_breached: bool,
    },
    /// Set a user's password, replacing any earlier one.
    SetPassword {
        /// The user.
        #[arg(value_parser = user_name)]
        name: UserName,
        /// Read the password from standard input.
        #[arg(long)]
        password_stdin: bool,
        /// Accept a password that is known from a breach.
        #[arg(long)]
        allow_breached: bool,
    },
    /// Enroll or remove a second factor.
    #[command(subcommand)]
    Totp(TotpCommand),
    /// Security keys and passkeys: list, remove.
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// Email addresses: add, verify, promote, remove, list.
    #[command(subcommand)]
    Email(email::EmailCommand),
    /// Make a user a member of staff, or undo it.
    Staff {
        /// The user.
        #[arg(value_parser = user_name)]
        name: UserName,
        /// `on` makes the user staff, `off` undoes it.
        staff: Switch,
    },
    /// Disable a user: their tokens and their password are no longer accepted.
    ///
    /// Nothing is removed; `user enable` makes everything work again.
    #[command(after_help = "Example:\n  portcullis user disable alice --reason 'left the company'")]
    Disable {
        /// The user.
        #[arg(value_parser = user_name)]
        name: UserName,
        /// Why, for other operators.
        #[arg(long, value_name = "text")]
        reason: String,
    },
    /// Enable a disabled user again.
    Enable {
        /// The user.
        #[arg(value_parser = user_name)]
        name: UserName,
    },
    /// Create a user and mail them a link to choose a password.
    ///
    /// The address is treated as verified: only a person who reads its mail can choose the
    /// password.
    #[command(after_help = "Example:\n  portcullis user invite alice --email alice@example.org")]
    Invite {
        /// Name to log in with.
        #[arg(value_parser = user_name)]
        name: UserName,
        /// Email address.
        #[arg(long, value_name = "address")]
        email: String,
        /// Make the user staff of the registry.
        #[arg(long)]
        staff: bool,
    },
    /// Delete an account. Its name stays taken, and its published files stay.
    #[command(
        after_help = "Example:\n  portcullis user delete alice --reason 'asked for it by mail'"
    )]
    Delete {
        /// The user.
        #[arg(value_parser = user_name)]
        name: UserName,
        #[command(flatten)]
        why: Deletion,
    },
    /// List a user's sessions.
    Sessions {
        /// The user.
        #[arg(value_parser = user_name)]
        name: UserName,
    },
    /// End all sessions of a user.
    EndSessions {
        /// The user.
        #[arg(value_parser = user_name)]
        name: UserName,
    },
    /// Begin the recovery of an account whose owner has lost the second factor.
    ///
    /// Every verified address of the owner gets a mail, and the owner can stop the recovery. After
    /// the time in `recovery-wait` a running server removes the second factors and the recovery
    /// codes, ends the sessions, disables the password, and mails a link to set a new one. No one
    /// else sees a secret.
    #[command(
        after_help = "Example:\n  portcullis user recover alice --reason 'lost the phone, identity checked in a video call'"
    )]
    Recover {
        /// The user.
        #[arg(value_parser = user_name)]
        name: UserName,
        /// Why, for the user and for other operators.
        #[arg(long, value_name = "text")]
        reason: String,
    },
    /// Stop the recovery of an account.
    RecoverCancel {
        /// The user.
        #[arg(value_parser = user_name)]
        name: UserName,
    },
    /// List all users.
    List,
    /// Show a user with email addresses, factors, recovery codes, sessions, roles and tokens.
    Show {
        /// The user.
        #[arg(value_parser = user_name)]
        name: UserName,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum TotpCommand {
    /// Enroll a time-based one-time password app and print its secret.
    Enroll {
        /// The user.
        #[arg(value_parser = user_name)]
        name: UserName,
    },
    /// Remove the app, for example because the device was lost.
    Remove {
        /// The user.
        #[arg(value_parser = user_name)]
        name: UserName,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Switch {
    On,
    Off,
}

pub(crate) async fn run(command: UserCommand, line: &CommandLine) -> anyhow::Result<Answer> {
    match command {
        UserCommand::Create {
            name,
            email,
            verified,
            staff,
            password_stdin,
            no_password,
            allow_breached,
        } => {
            let password = match (password_stdin, no_password || !terminal::is_interactive()) {
                (true, _) => Some(terminal::secret_from_stdin()?),
                (false, true) => None,
                (false, false) => Some(terminal::ask_new_secret(
                    "Password",
                    "give --password-stdin",
                )?),
            };
            create(
                line,
                CreateUser {
                    name,
                    email,
                    email_verified: verified,
                    staff,
                },
                password,
                allow_breached,
            )
            .await
        }
        UserCommand::SetPassword {
            name,
            password_stdin,
            allow_breached,
        } => {
            let user = line.user(&name).await?;
            let password = if password_stdin {
                terminal::secret_from_stdin()?
            } else {
                terminal::ask_new_secret("New password", "give --password-stdin")?
            };
            let remark = look_for_breach(line, &password, allow_breached).await?;
            line.identity
                .accounts()
                .set_password(
                    line.permit(SetPassword {
                        account: Account::at_the_server(user.id),
                        password,
                    })
                    .await?,
                )
                .await?;
            let answer = Answer::new(
                format!("the password of {} is set", user.name),
                json!({ "user": user.name.as_written() }),
            );
            Ok(answer.with_remarks(remark.to_owned()))
        }
        UserCommand::Totp(TotpCommand::Enroll { name }) => enroll_totp(line, &name).await,
        UserCommand::Totp(TotpCommand::Remove { name }) => {
            let user = line.user(&name).await?;
            line.identity
                .accounts()
                .remove_totp(
                    line.permit(RemoveTotp {
                        account: Account::at_the_server(user.id),
                    })
                    .await?,
                )
                .await?;
            Ok(Answer::new(
                format!("{} no longer has a one-time password app", user.name),
                json!({ "user": user.name.as_written() }),
            ))
        }
        UserCommand::Keys(command) => keys::run(command, line).await,
        UserCommand::Email(command) => email::run(command, line).await,
        UserCommand::Staff { name, staff } => set_staff(line, &name, staff == Switch::On).await,
        UserCommand::Disable { name, reason } => disable(line, &name, reason).await,
        UserCommand::Enable { name } => {
            let user = line.user(&name).await?;
            line.identity
                .accounts()
                .enable(line.permit(EnableUser { user: user.id }).await?)
                .await?;
            Ok(Answer::new(
                format!(
                    "{} is enabled; their tokens and password work again",
                    user.name
                ),
                json!({ "user": user.name.as_written(), "disabled": null }),
            ))
        }
        UserCommand::Invite { name, email, staff } => life::invite(line, name, email, staff).await,
        UserCommand::Delete { name, why } => life::delete(line, &name, why).await,
        UserCommand::List => list(line).await,
        UserCommand::Sessions { name } => sessions::list(line, &name).await,
        UserCommand::EndSessions { name } => sessions::end(line, &name).await,
        UserCommand::Recover { name, reason } => recovery::start(line, &name, reason).await,
        UserCommand::RecoverCancel { name } => recovery::cancel(line, &name).await,
        UserCommand::Show { name } => show::show(line, &name).await,
    }
}

/// Refuses a password that policies may disable at its first use. Returns a remark otherwise.
async fn look_for_breach(
    line: &CommandLine,
    password: &Secret<String>,
    allowed: bool,
) -> anyhow::Result<&'static str> {
    if allowed {
        return Ok("");
    }
    match line.identity.passwords().breach_state(password).await {
        BreachOutcome::Breached => bail!(
            "the password is known from a breach of another service; choose another one, or give --allow-breached"
        ),
        BreachOutcome::Unavailable => Ok(
            "The password could not be checked against known breaches; the next login checks it again.\n",
        ),
        BreachOutcome::Clean | BreachOutcome::Off => Ok(""),
    }
}

async fn create(
    line: &CommandLine,
    user: CreateUser,
    password: Option<Secret<String>>,
    allow_breached: bool,
) -> anyhow::Result<Answer> {
    let name = user.name.clone();
    let mut remarks = String::new();
    if let Some(password) = &password {
        // Checked before the user exists, so that a bad choice leaves nothing behind.
        identity::passwords::check_suitable(password, &name)?;
        remarks.push_str(look_for_breach(line, password, allow_breached).await?);
    }
    let email = user.email.clone().map(|email| (email, user.email_verified));
    let id = line
        .identity
        .accounts()
        .create(line.permit(user).await?)
        .await?;
    let has_password = password.is_some();
    if let Some(password) = password {
        let set = line
            .identity
            .accounts()
            .set_password(
                line.permit(SetPassword {
                    account: Account::at_the_server(id),
                    password,
                })
                .await?,
            )
            .await;
        set.with_context(|| format!("user {name} is created, but has no password yet; use `portcullis user set-password {name}`"))?;
    }
    let program = line.program();
    if !has_password {
        remarks.push_str(&format!(
            "No password is set. Set one: {program} user set-password {name}\n"
        ));
    }
    match &email {
        None => remarks.push_str(&format!("No email address is set; policies may ask for a verified one: {program} user email add {name} <address>\n")),
        Some((email, false)) => {
            remarks.push_str(&format!("The email address is not verified; policies may ask for it: {program} user email verify {name} {}\n", quoted(email)))
        }
        Some((_, true)) => {}
    }
    remarks.push_str(&format!(
        "Enroll a second factor: {program} user totp enroll {name}\n"
    ));
    remarks.push_str(&format!(
        "Create an API token: {program} token create {name} --description laptop --account\n"
    ));
    Ok(Answer::new(
        format!("user {name} is created"),
        json!({ "user": name.as_written(), "id": id.to_string(), "has-password": has_password }),
    )
    .with_remarks(remarks))
}

async fn set_staff(line: &CommandLine, name: &UserName, staff: bool) -> anyhow::Result<Answer> {
    let user = line.user(name).await?;
    let changed = line
        .identity
        .accounts()
        .set_staff(
            line.permit(SetStaff {
                user: user.id,
                staff,
            })
            .await?,
        )
        .await?;
    let before = if changed { "" } else { ", and was so before" };
    let text = format!(
        "{} is {}staff of the registry{before}",
        user.name,
        if staff { "" } else { "not " }
    );
    Ok(Answer::new(
        text,
        json!({ "user": user.name.as_written(), "staff": staff, "changed": changed }),
    ))
}

async fn disable(line: &CommandLine, name: &UserName, reason: String) -> anyhow::Result<Answer> {
    let user = line.user(name).await?;
    line.identity
        .accounts()
        .disable(
            line.permit(DisableUser {
                user: user.id,
                reason: reason.clone(),
            })
            .await?,
        )
        .await?;
    let mut remarks = String::new();
    for (project, role) in line.storage.projects_of(user.id).await? {
        if role == model::Role::Owner
            && line
                .storage
                .roles_on(project.id)
                .await?
                .iter()
                .all(|other| other.role != model::Role::Owner || other.user == user.id)
        {
            let program = line.program();
            remarks.push_str(&format!(
                "{0} has no other owner now: {program} project role {0} <user> owner\n",
                project.name
            ));
        }
    }
    let json = json!({ "user": user.name.as_written(), "reason": reason.trim() });
    Ok(Answer::new(
        format!(
            "{} is disabled; their tokens and password are not accepted",
            user.name
        ),
        json,
    )
    .with_remarks(remarks))
}

async fn enroll_totp(line: &CommandLine, name: &UserName) -> anyhow::Result<Answer> {
    let user = line.user(name).await?;
    ensure!(
        user.totp_secret.is_none(),
        "{} has a one-time password app already; `portcullis user totp remove {}` removes it",
        user.name,
        user.name
    );
    let proposed = line.identity.accounts().propose_totp(&user.name)?;
    // Somebody at a terminal shows that the app works before it counts; a script enrolls
    // for somebody else and prints the secret for them.
    let code = if terminal::is_interactive() {
        eprintln!(
            "Add this account to the app:\n  secret  {}\n  URL     {}",
            proposed.secret.expose(),
            proposed.url.expose()
        );
        Some(terminal::ask_line("Code that the app shows")?)
    } else {
        None
    };
    let target = EnrollTotp {
        account: Account::at_the_server(user.id),
        secret: Some(proposed.secret.clone()),
        code,
    };
    let enrolled = line
        .identity
        .accounts()
        .enroll_totp(line.permit(target).await?)
        .await?;
    Ok(Answer::new(
        format!(
            "{} has a one-time password app now\nsecret  {}\nURL     {}",
            user.name,
            enrolled.secret.expose(),
            enrolled.url.expose()
        ),
        json!({ "user": user.name.as_written(), "secret": enrolled.secret.expose(), "url": enrolled.url.expose() }),
    ))
}

async fn list(line: &CommandLine) -> anyhow::Result<Answer> {
    const PAGE: u32 = 500;
    let mut rows = vec![
        [
            "name",
            "created",
            "password",
            "second factor",
            "email",
            "staff",
            "standing",
        ]
        .map(str::to_owned)
        .to_vec(),
    ];
    let mut values = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = line.storage.users(after.as_deref(), PAGE).await?;
        for user in &page {
            let password = match (&user.password_hash, &user.password_disabled) {
                (None, _) => "none",
                (Some(_), Some(_)) => "disabled",
                (Some(_), None) => "set",
            };
            let factor = match user.facts().factors {
                Factors {
                    totp: true,
                    webauthn: true,
                } => "totp, webauthn",
                Factors {
                    totp: true,
                    webauthn: false,
                } => "totp",
                Factors {
                    totp: false,
                    webauthn: true,
                } => "webauthn",
                Factors {
                    totp: false,
                    webauthn: false,
                } => "none",
            };
            let email = if user.email_verified {
                "verified"
            } else {
                "unverified"
            };
            let staff = if user.staff { "staff" } else { "" };
            let standing = if user.disabled_at.is_some() {
                "disabled"
            } else {
                ""
            };
            rows.push(vec![
                user.name.to_string(),
                moment(user.created_at),
                password.into(),
                factor.into(),
                email.into(),
                staff.into(),
                standing.into(),
            ]);
            values.push(json!({
                "name": user.name.as_written(), "id": user.id.to_string(), "created": user.created_at.to_string(), "password": password,
                "second-factor": factor, "email-verified": user.email_verified, "staff": user.staff,
                "disabled": user.disabled_at.map(|at| at.to_string()),
            }));
        }
        match page.last() {
            Some(last) if page.len() == PAGE as usize => {
                after = Some(last.name.folded().to_owned())
            }
            _ => break,
        }
    }
    if values.is_empty() {
        return Ok(Answer::new(
            "there is no user yet; `portcullis user create <name>` creates one",
            json!([]),
        ));
    }
    Ok(Answer::new(columns(&rows), values.into()))
}
