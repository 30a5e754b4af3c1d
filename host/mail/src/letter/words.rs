//! The sentences of every mail. Short, exact, and the same for everyone.

mod projects;

use model::mail::{Mail, MailField, MailKind};

use super::foreign::{self, spoken};
use super::{Letter, Link, Registry, one_line};

/// The content of a mail of this kind.
pub(super) fn letter(mail: &Mail, registry: &Registry) -> Letter {
    let word = |field: MailField| spoken(mail, field);
    let name = &registry.name;
    let user = word(MailField::UserName);
    let to = Draft::new(mail, registry);
    match mail.kind {
        MailKind::RegistrationConfirm => to
            .subject("Finish your registration")
            .says(format!("Someone (we hope it was you) asked to create the account {user} at {name} with this email address."))
            .facts()
            .link("Finish the registration")
            .says_then("The page asks for the password that was chosen then, so that no one else can register with your address.")
            .says_then("If this wasn't you, do nothing: without that password no account is created. On the same page you can discard the registration."),
        MailKind::RegistrationExisting => to
            .subject("You already have an account")
            .says(format!("Someone tried to create an account at {name} with this email address. It already belongs to your account {user}, so no new account was created."))
            .facts()
            .says_then("If this was you, log in to your account. If you forgot your password, you can set a new one. If this wasn't you, you don't need to do anything.")
            .page("Set a new password", "/password/forgot"),
        MailKind::RegistrationNameTaken => to
            .subject("That user name is taken")
            .says(format!("Someone (we hope it was you) asked to create the account {user} at {name} with this email address. That user name is taken, so no account was created."))
            .facts()
            .says_then("If this was you, register again with another name. If this wasn't you, you don't need to do anything.")
            .page("Register again", "/register"),
        MailKind::EmailVerify => to
            .subject("Confirm your email address")
            .says(format!("The account {user} at {name} wants to use the address {}. Is it yours?", word(MailField::Address)))
            .link("Confirm the address")
            .says_then("If you don't recognize this, do nothing: the address is not used until it is confirmed."),
        MailKind::EmailAdded => to
            .subject("An email address was added to your account")
            .says(format!("The address {} was added to your account {user}.", word(MailField::Address)))
            .facts()
            .if_it_was_not_you(),
        MailKind::EmailRemoved => to
            .subject("An email address was removed from your account")
            .says(format!("The address {} was removed from the account {user}. It will no longer receive mail about this account.", word(MailField::Address)))
            .facts()
            .if_this_address_was_taken_away(),
        MailKind::PrimaryEmailChanged => to
            .subject("Your primary email address was changed")
            .says(format!("Mails about your account {user} now go to {} and no longer to {}.", word(MailField::Address), word(MailField::OtherAddress)))
            .facts()
            .if_this_address_was_taken_away(),
        MailKind::PasswordResetLink => to
            .subject("Set a new password")
            .says(format!("Someone (we hope it was you) asked for a new password for your account {user}."))
            .facts()
            .link("Set a new password")
            .says_then("If this wasn't you, do nothing: your password stays unchanged."),
        MailKind::PasswordChanged => to
            .subject("Your password was changed")
            .says(format!("The password of your account {user} was changed. The sessions of all other browsers were ended."))
            .facts()
            .if_you_did_not_set_it(),
        MailKind::PasswordReset => to
            .subject("Your password was reset")
            .says(format!("A new password was set for your account {user}, with a link that we sent by email. All sessions were ended."))
            .facts()
            .if_you_did_not_set_it(),
        MailKind::PasswordBreached => to
            .subject("Your password is known to others and no longer works")
            .says(format!(
                "The password of your account {user} is in a public collection of stolen passwords. This does not mean that {name} lost it: \
                 it was taken from another site where it was also used. Anyone can try it, so we have disabled it."
            ))
            .says("Someone who knew the password used it just now. That may well have been you.")
            .facts()
            .says_then("Choose a new password that you use nowhere else. Do the same wherever you used the old one.")
            .page("Set a new password", "/password/forgot"),
        MailKind::FactorAdded => to
            .subject("A second factor was added to your account")
            .says(format!("A second factor was added to your account {user}."))
            .fact("What", word(MailField::Factor))
            .fact("Name", word(MailField::Name))
            .facts()
            .if_it_was_not_you(),
        MailKind::FactorRemoved => to
            .subject("A second factor was removed from your account")
            .says(format!("A second factor was removed from your account {user}. It can no longer be used to log in."))
            .fact("What", word(MailField::Factor))
            .fact("Name", word(MailField::Name))
            .facts()
            .if_it_was_not_you(),
        MailKind::RecoveryCodesGenerated => to
            .subject("New recovery codes were created for your account")
            .says(format!("New recovery codes were created for your account {user}. All earlier ones have stopped working."))
            .facts()
            .if_it_was_not_you(),
        MailKind::RecoveryCodeUsed => to
            .subject("A recovery code was used")
            .says(format!("A recovery code of your account {user} was used. It cannot be used again; unused codes left: {}.", word(MailField::Left)))
            .facts()
            .if_it_was_not_you(),
        MailKind::RecoveryCodesLow => to
            .subject("You have few recovery codes left")
            .says(format!("Your account {user} has few recovery codes left: {}.", word(MailField::Left)))
            .says("If you lost your second factor and had no codes left, you could not log in. Create new codes and keep them in a safe place.")
            .page("Your recovery codes", "/account/factors/"),
        MailKind::DeviceConfirm => to
            .subject("Was this you? Confirm your login")
            .says(format!(
                "Someone who knows the password of your account {user} wants to log in from a browser that we have not seen before."
            ))
            .facts()
            .link("Yes, it was me")
            .says_then("After that, log in again in the same browser.")
            .says_then("If this wasn't you, do not open the link. Someone knows your password: set a new one right away.")
            .page("Set a new password", "/password/forgot"),
        MailKind::CommandLineConfirm => to
            .subject("Was this you? Confirm your command line")
            .says(format!(
                "Someone sent the password and a valid one-time code of your account {user} from a command line that we have not seen before."
            ))
            .facts()
            .link("Yes, it was me")
            .says_then("After that, run the same command again: nothing has been done yet.")
            .says_then("If this wasn't you, do not open the link. Someone knows your password: set a new one right away.")
            .page("Set a new password", "/password/forgot"),
        MailKind::AccountSecured => to
            .subject("Your account is secured; set a new password")
            .says(format!(
                "You reported that someone else may have used your account {user}. We have ended all its sessions, revoked all its API tokens and disabled its password."
            ))
            .facts()
            .link("Set a new password")
            .says_then("After that, check the history of your account, its email addresses and its second factors. Remove anything that is not yours.")
            .page("History of your account", "/account/history/"),
        MailKind::AccountSecuredElsewhere => to
            .subject("Your account is secured")
            .says(format!(
                "Someone who was logged in reported that the account {user} may have been used by someone other than its owner. We have ended all its sessions, revoked all its API tokens and disabled its password."
            ))
            .says("This address became the primary one a short while ago, so the link for a new password went to the previous one.")
            .facts()
            .says_then("If that address is no longer yours, tell the operators of the registry."),
        MailKind::AccountDeleted => to
            .subject("Your account was deleted")
            .says(format!("Your account {user} was deleted. Its sessions have ended, its API tokens have stopped working, and its email addresses and second factors were deleted."))
            .facts()
            .says_then(format!("This cannot be undone. If this wasn't you, tell the operators of the registry right away. Thank you for using {name}.")),
        MailKind::RecoveryStarted => to
            .subject("Your account is about to be recovered by staff")
            .says(format!(
                "The staff of {name} have started to recover your account {user}. When the recovery takes effect, its second factors and recovery codes are removed, \
                 its password is disabled, and you get a link to set a new one."
            ))
            .fact("Reason", word(MailField::Reason))
            .fact("Started", moment(mail, MailField::At))
            .fact("Takes effect", moment(mail, MailField::EffectiveAt))
            .says_then("If you asked for this, do nothing and wait.")
            .says_then("If you did not, stop it with the link, which works until then.")
            .link("Stop the recovery"),
        MailKind::RecoveryCancelled => to
            .subject("The recovery of your account was stopped")
            .says(format!("The recovery of your account {user} was stopped. Nothing about your account has changed."))
            .facts()
            .says_then("If you asked for the recovery and did not stop it, tell the operators of the registry: someone else may be reading your mail."),
        MailKind::RecoveryCompleted => to
            .subject("Your account was recovered; set a new password")
            .says(format!(
                "The staff of {name} have recovered your account {user}. Its second factors and recovery codes were removed, its sessions have ended, and its password is disabled."
            ))
            .facts()
            .link("Set a new password")
            .says_then("After that, set up a second factor again. If you did not ask for this, set a new password anyway and tell the operators of the registry."),
        MailKind::TokenCreated => to
            .subject("An API token was created")
            .says(format!("An API token was created for your account {user}."))
            .fact("Name", word(MailField::Name))
            .fact("For", word(MailField::Scope))
            .facts()
            .if_it_was_not_you(),
        MailKind::RoleChanged => role_changed(to, mail, &word),
        MailKind::CollaboratorChanged => collaborator_changed(to, mail, &word),
        MailKind::ReleaseStaged => projects::release_staged(to, mail, &word),
        MailKind::ContentRemoved => projects::content_removed(to, mail, &word),
        MailKind::Invitation => to
            .subject("Your account is ready")
            .says(format!("An operator of {name} created the account {user} for you."))
            .link("Choose a password")
            .says_then("After that, set up a second factor; your account page says what else is needed.")
            .says_then("If you did not expect this, do nothing: without a password, nobody can use the account."),
        MailKind::ChangesGathered => changes_gathered(to, mail),
        MailKind::Test => to
            .subject("This mail has arrived")
            .says(format!("An operator of {name} sent this to check that its mail arrives. It does."))
            .facts(),
    }
    .done()
}

fn role_changed<'a>(to: Draft<'a>, mail: &Mail, word: &dyn Fn(MailField) -> String) -> Draft<'a> {
    let (project, actor) = (word(MailField::Project), word(MailField::Actor));
    let to = match &*word(MailField::Role) {
        "none" => to
            .subject("You were removed from a project")
            .says(format!("{actor} removed you from the project {project}. You can no longer upload to it or manage it.")),
        role => to.subject("Your role on a project changed").says(format!("{actor} made you {role} of the project {project}.")),
    };
    to.fact("Account", word(MailField::UserName))
        .fact("When", moment(mail, MailField::At))
        .says_then("If you didn't expect this, contact the project's owners.")
}

fn collaborator_changed<'a>(
    to: Draft<'a>,
    mail: &Mail,
    word: &dyn Fn(MailField) -> String,
) -> Draft<'a> {
    let (project, actor, user) = (
        word(MailField::Project),
        word(MailField::Actor),
        word(MailField::UserName),
    );
    let what = match &*word(MailField::Role) {
        "none" => format!("{actor} removed {user} from your project {project}."),
        role => format!("{actor} made {user} {role} of your project {project}."),
    };
    to.subject("The people on your project changed")
        .says(what)
        .fact("When", moment(mail, MailField::At))
        .says_then("You receive this mail because you are an owner. If this should not have happened, ask the operators of the registry to undo it.")
}

fn changes_gathered<'a>(to: Draft<'a>, mail: &Mail) -> Draft<'a> {
    let changes: Vec<_> = MailKind::gathered_in(mail.field(MailField::Changes)).collect();
    let total = changes
        .iter()
        .fold(0_u64, |total, (_, count)| total.saturating_add(*count));
    let more = if total == 1 {
        "There was 1 more change".to_owned()
    } else {
        format!("There were {total} more changes")
    };
    let to = to.subject("More changes to your account").says(format!(
        "{more} to your account or to projects that you own, after the mails that you just received. They are summed up in this one mail, so that none is lost among many."
    ));
    let to = to.fact("Since", moment(mail, MailField::At));
    let to = changes.iter().fold(to, |to, (kind, count)| {
        to.fact(changes_in_words(*kind), count.to_string())
    });
    let listed = mail.listed();
    let count_of = |kind: MailKind| listed.iter().filter(|one| one.kind == kind).count() as u64;
    let to = listed.iter().fold(to, |to, one| projects::listed(to, one));
    let unlisted = changes
        .iter()
        .any(|(kind, count)| kind.is_listed() && *count > count_of(*kind));
    let to = match unlisted {
        true => to.says_then("Of the changes to projects, only the first are listed. The project pages show the rest."),
        false => to,
    };
    let to = match count_of(MailKind::ReleaseStaged) {
        0 => to,
        _ => projects::how_to_publish(to, "PROJECT", "VERSION"),
    };
    if changes.iter().all(|(kind, _)| kind.is_listed()) {
        return to.says_then(
            "You get this mail because you own these projects, or have a role on them.",
        );
    }
    to.says_then("The history of your account shows each change to the account: when, from where, and with what.")
        .says_then(
            "If something there wasn't you, secure your account: that page has a link for it.",
        )
        .page("History of your account", "/account/history/")
}

/// The counted changes, for kinds that [`MailKind::can_be_gathered`].
fn changes_in_words(kind: MailKind) -> &'static str {
    match kind {
        MailKind::EmailAdded => "Email addresses added",
        MailKind::EmailRemoved => "Email addresses removed",
        MailKind::PrimaryEmailChanged => "Changes of the primary email address",
        MailKind::PasswordChanged => "Password changes",
        MailKind::FactorAdded => "Second factors added",
        MailKind::FactorRemoved => "Second factors removed",
        MailKind::RecoveryCodesGenerated => "New sets of recovery codes",
        MailKind::RecoveryCodeUsed => "Recovery codes used",
        MailKind::RecoveryCodesLow => "Notes that few recovery codes are left",
        MailKind::RecoveryCancelled => "Recoveries stopped",
        MailKind::TokenCreated => "API tokens created",
        MailKind::RoleChanged => "Changes of your roles on projects",
        MailKind::CollaboratorChanged => "Changes of the people on your projects",
        MailKind::ReleaseStaged => "Releases that wait to be published",
        MailKind::ContentRemoved => "Removals by operators",
        _ => "Other changes",
    }
}

/// A time as people read it: `2026-01-05 12:00:00 UTC`.
fn moment(mail: &Mail, field: MailField) -> String {
    one_line(mail.field(field))
        .replace('T', " ")
        .replace('Z', " UTC")
}

/// A letter under construction.
struct Draft<'a> {
    mail: &'a Mail,
    letter: Letter,
}

impl<'a> Draft<'a> {
    fn new(mail: &'a Mail, registry: &Registry) -> Self {
        let greeting = match mail.kind {
            // These are about someone else, or about no one.
            MailKind::CollaboratorChanged | MailKind::ChangesGathered | MailKind::Test => {
                "Hello,".to_owned()
            }
            _ => format!("Hello {},", spoken(mail, MailField::UserName)),
        };
        let letter = Letter {
            subject: String::new(),
            greeting,
            opening: Vec::new(),
            facts: Vec::new(),
            link: None,
            closing: Vec::new(),
            page: None,
            registry: registry.clone(),
        };
        Self { mail, letter }
    }

    fn subject(mut self, subject: &str) -> Self {
        self.letter.subject = one_line(&format!("[{}] {subject}", self.letter.registry.name));
        self
    }

    fn says(mut self, paragraph: impl Into<String>) -> Self {
        self.letter.opening.push(paragraph.into());
        self
    }

    fn fact(mut self, name: &'static str, value: String) -> Self {
        self.letter.facts.push((name, value));
        self
    }

    /// When, where and with what it happened, as far as the mail knows.
    fn facts(mut self) -> Self {
        let known: Vec<_> = [
            (MailField::At, "When"),
            (MailField::RemoteAddress, "From"),
            (MailField::Device, "With"),
        ]
        .into_iter()
        .filter(|(field, _)| self.mail.kind.fields().contains(field))
        .collect();
        for (field, name) in known {
            let value = if field == MailField::At {
                moment(self.mail, field)
            } else {
                one_line(self.mail.field(field))
            };
            self.letter.facts.push((name, value));
        }
        self
    }

    /// The link, and how long it is valid if the mail says so.
    fn link(mut self, label: &str) -> Self {
        self.letter.link = Some(Link {
            label: label.to_owned(),
            address: one_line(self.mail.field(MailField::Link)),
        });
        if self.mail.kind.fields().contains(&MailField::LinkLifetime) {
            let lifetime = one_line(self.mail.field(MailField::LinkLifetime));
            self = self.says_then(format!("The link works once, within {lifetime}."));
        }
        self
    }

    fn says_then(mut self, paragraph: impl Into<String>) -> Self {
        self.letter.closing.push(paragraph.into());
        self
    }

    fn page(mut self, label: &str, path: &str) -> Self {
        self.letter.page = Some(Link {
            label: label.to_owned(),
            address: format!("{}{path}", self.letter.registry.public_url),
        });
        self
    }

    fn if_it_was_not_you(self) -> Self {
        self.says_then("If this was you, you don't need to do anything.")
            .says_then(
                "If this wasn't you, secure your account now: that ends all sessions, revokes all API tokens and sends you a link to set a new password.",
            )
            .page("Secure my account", "/account/secure")
    }

    /// The same, for mails that may reach someone else by now.
    fn if_this_address_was_taken_away(self) -> Self {
        self.says_then("If this was you, you don't need to do anything.")
            .says_then(
                "If this wasn't you, log in and secure your account now: that ends all sessions, revokes all API tokens and disables the password. \
                 The page says which address gets the link for a new password. For 7 days after someone who was logged in changes the primary \
                 address, it is the previous one.",
            )
            .says_then("If you can no longer log in, tell the operators of the registry.")
            .page("Secure my account", "/account/secure")
    }

    /// The same, if the password is no longer the one that its owner knows.
    fn if_you_did_not_set_it(self) -> Self {
        self.says_then("If this was you, you don't need to do anything.")
            .says_then(
                "If this wasn't you, set a new password now, with a link that we send you: that ends all sessions. \
                 Then secure your account on its history page, which also revokes all API tokens.",
            )
            .page("Set a new password", "/password/forgot")
    }

    fn done(self) -> Letter {
        let has_marks = |mail: &Mail| {
            let mut words = mail.fields.iter();
            words.any(|(field, text)| foreign::is_marked(*field, text))
        };
        if has_marks(self.mail) || self.mail.listed().iter().any(has_marks) {
            self.says_then(foreign::NOTE).letter
        } else {
            self.letter
        }
    }
}
