//! The sentences of every mail. Short, exact, and the same for everybody.

use model::mail::{Mail, MailField, MailKind};

use super::foreign::{self, spoken};
use super::{Letter, Link, Registry, one_line};

/// What a mail of this kind says.
pub(super) fn letter(mail: &Mail, registry: &Registry) -> Letter {
    let word = |field: MailField| spoken(mail, field);
    let name = &registry.name;
    let user = word(MailField::UserName);
    let to = Draft::new(mail, registry);
    match mail.kind {
        MailKind::RegistrationConfirm => to
            .subject("Finish your registration")
            .says(format!("Somebody, we hope you, asked {name} for an account with the name {user} and this e-mail address."))
            .facts()
            .link("Finish the registration")
            .says_then("The page asks for the password that was chosen then, so that nobody else can register with your address.")
            .says_then("If it was not you, do nothing: without that password no account is created. On the same page you can discard the registration."),
        MailKind::RegistrationExisting => to
            .subject("You have an account already")
            .says(format!("Somebody tried to register an account at {name} with this e-mail address. It belongs to your account {user} already, so no other one was made."))
            .facts()
            .says_then("If it was you, log in with your account. A forgotten password can be set anew. If it was not you, there is nothing to do.")
            .page("Set a new password", "/password/forgot"),
        MailKind::RegistrationNameTaken => to
            .subject("That user name is taken")
            .says(format!("Somebody, we hope you, asked {name} for an account with the name {user} and this e-mail address. The name is taken, so no account was made."))
            .facts()
            .says_then("If it was you, register again with another name. If it was not you, there is nothing to do.")
            .page("Register again", "/register"),
        MailKind::EmailVerify => to
            .subject("Confirm your e-mail address")
            .says(format!("The account {user} at {name} wants to use the address {}. Is it yours?", word(MailField::Address)))
            .link("Confirm the address")
            .says_then("If you know nothing of this, do nothing: the address is not used before it is confirmed."),
        MailKind::EmailAdded => to
            .subject("An e-mail address was added to your account")
            .says(format!("The address {} was added to your account {user}.", word(MailField::Address)))
            .facts()
            .if_it_was_not_you(),
        MailKind::EmailRemoved => to
            .subject("An e-mail address was removed from your account")
            .says(format!("The address {} was removed from the account {user}. It gets no mail about the account any more.", word(MailField::Address)))
            .facts()
            .if_this_address_was_taken_away(),
        MailKind::PrimaryEmailChanged => to
            .subject("Your primary e-mail address changed")
            .says(format!("Mails about your account {user} now go to {} and no longer to {}.", word(MailField::Address), word(MailField::OtherAddress)))
            .facts()
            .if_this_address_was_taken_away(),
        MailKind::PasswordResetLink => to
            .subject("Set a new password")
            .says(format!("Somebody, we hope you, asked for a new password for your account {user}."))
            .facts()
            .link("Set a new password")
            .says_then("If it was not you, do nothing: your password stays as it is."),
        MailKind::PasswordChanged => to
            .subject("Your password was changed")
            .says(format!("The password of your account {user} was changed. The sessions of all other browsers were ended."))
            .facts()
            .if_you_did_not_set_it(),
        MailKind::PasswordReset => to
            .subject("Your password was set anew")
            .says(format!("A new password was set for your account {user}, through a link that we mailed. All sessions were ended."))
            .facts()
            .if_you_did_not_set_it(),
        MailKind::PasswordBreached => to
            .subject("Your password is known to others and no longer works")
            .says(format!(
                "The password of your account {user} is in a public collection of stolen passwords. This does not mean that {name} lost it: \
                 it was taken from another site where it was used, too. Anybody can try it, so we have switched it off."
            ))
            .says("Somebody who knew the password used it just now. That may well have been you.")
            .facts()
            .says_then("Choose a new password, one that you use nowhere else. Do the same wherever you used the old one.")
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
            .says(format!("A second factor was removed from your account {user}. It no longer proves that it is you."))
            .fact("What", word(MailField::Factor))
            .fact("Name", word(MailField::Name))
            .facts()
            .if_it_was_not_you(),
        MailKind::RecoveryCodesGenerated => to
            .subject("New recovery codes were made for your account")
            .says(format!("New recovery codes were made for your account {user}. All earlier ones have stopped working."))
            .facts()
            .if_it_was_not_you(),
        MailKind::RecoveryCodeUsed => to
            .subject("A recovery code was used")
            .says(format!("A recovery code of your account {user} was used. It cannot be used again; unused codes left: {}.", word(MailField::Left)))
            .facts()
            .if_it_was_not_you(),
        MailKind::RecoveryCodesLow => to
            .subject("Few recovery codes are left")
            .says(format!("Your account {user} has few recovery codes left: {}.", word(MailField::Left)))
            .says("Without codes and without your second factor you could not log in. Make new ones and keep them in a safe place.")
            .page("Your recovery codes", "/account/factors/"),
        MailKind::DeviceConfirm => to
            .subject("Is it you who logs in?")
            .says(format!(
                "Somebody who knows the password of your account {user} wants to log in with a browser that we do not know yet."
            ))
            .facts()
            .link("Yes, it is me")
            .says_then("Then log in again with the same browser.")
            .says_then("If it was not you, do not open the link. Your password is known to somebody: set a new one at once.")
            .page("Set a new password", "/password/forgot"),
        MailKind::CommandLineConfirm => to
            .subject("Is it you on a new command line?")
            .says(format!(
                "Somebody sent the password and a valid one-time code of your account {user} from a command line that we do not know yet."
            ))
            .facts()
            .link("Yes, it is me")
            .says_then("Then run the same command again: nothing was done yet.")
            .says_then("If it was not you, do not open the link. Your password is known to somebody: set a new one at once.")
            .page("Set a new password", "/password/forgot"),
        MailKind::AccountSecured => to
            .subject("Your account is secured; set a new password")
            .says(format!(
                "You told us that something in your account {user} was not done by you. So we have ended all its sessions, revoked all its API tokens and switched its password off."
            ))
            .facts()
            .link("Set a new password")
            .says_then("After that, look through the history of your account, and through its e-mail addresses and second factors. Remove what is not yours.")
            .page("History of your account", "/account/history/"),
        MailKind::AccountSecuredElsewhere => to
            .subject("Your account is secured")
            .says(format!(
                "Somebody who is logged in told us that something in the account {user} was not done by its owner. So we have ended all its sessions, revoked all its API tokens and switched its password off."
            ))
            .says("This address became the primary one a short while ago. So the link for a new password went to the one from before.")
            .facts()
            .says_then("If that address is not yours any more, tell the operators of the registry."),
        MailKind::AccountDeleted => to
            .subject("Your account is deleted")
            .says(format!("Your account {user} is deleted. Its sessions and API tokens have ended, and its e-mail addresses and second factors are forgotten."))
            .facts()
            .says_then("This cannot be taken back. If it was not you, tell the operators of the registry at once. Thank you for having been here."),
        MailKind::RecoveryStarted => to
            .subject("Your account is about to be recovered by staff")
            .says(format!(
                "The staff of {name} have begun to recover your account {user}. When it is done, its second factors and its recovery codes are removed, \
                 its password is switched off, and you get a link to set a new one."
            ))
            .fact("Reason", word(MailField::Reason))
            .fact("Begun", moment(mail, MailField::At))
            .fact("Done at", moment(mail, MailField::EffectiveAt))
            .says_then("If you asked for this, do nothing and wait.")
            .says_then("If you did not, stop it with the link. Until it is done, the link works.")
            .link("Stop the recovery"),
        MailKind::RecoveryCancelled => to
            .subject("The recovery of your account was stopped")
            .says(format!("The recovery of your account {user} was stopped. Nothing about your account has changed."))
            .facts()
            .says_then("If you asked for the recovery and did not stop it, tell the operators of the registry: somebody else may read your mail."),
        MailKind::RecoveryCompleted => to
            .subject("Your account was recovered; set a new password")
            .says(format!(
                "The staff of {name} have recovered your account {user}. Its second factors and its recovery codes are removed, its sessions have ended, and its password is switched off."
            ))
            .facts()
            .link("Set a new password")
            .says_then("After that, set up a second factor again. If you did not ask for this, set a new password all the same and tell the operators of the registry."),
        MailKind::TokenCreated => to
            .subject("An API token was made")
            .says(format!("An API token was made for your account {user}."))
            .fact("Name", word(MailField::Name))
            .fact("For", word(MailField::Scope))
            .facts()
            .if_it_was_not_you(),
        MailKind::RoleChanged => role_changed(to, mail, &word),
        MailKind::CollaboratorChanged => collaborator_changed(to, mail, &word),
        MailKind::ChangesGathered => changes_gathered(to, mail),
        MailKind::Test => to
            .subject("This mail has arrived")
            .says(format!("An operator of {name} wanted to know whether mail from it arrives. It does."))
            .facts(),
    }
    .done()
}

fn role_changed<'a>(to: Draft<'a>, mail: &Mail, word: &dyn Fn(MailField) -> String) -> Draft<'a> {
    let (project, actor) = (word(MailField::Project), word(MailField::Actor));
    let to = match &*word(MailField::Role) {
        "none" => to
            .subject("You have no role on a project any more")
            .says(format!("{actor} has taken away your role on the project {project}. You can no longer upload to it or manage it.")),
        role => to.subject("Your role on a project changed").says(format!("{actor} has made you {role} of the project {project}.")),
    };
    to.fact("Account", word(MailField::UserName)).fact("When", moment(mail, MailField::At)).says_then("If this surprises you, ask the owners of the project.")
}

fn collaborator_changed<'a>(to: Draft<'a>, mail: &Mail, word: &dyn Fn(MailField) -> String) -> Draft<'a> {
    let (project, actor, user) = (word(MailField::Project), word(MailField::Actor), word(MailField::UserName));
    let what = match &*word(MailField::Role) {
        "none" => format!("{actor} has taken away the role of {user} on your project {project}."),
        role => format!("{actor} has made {user} {role} of your project {project}."),
    };
    to.subject("Who works on your project changed")
        .says(what)
        .fact("When", moment(mail, MailField::At))
        .says_then("You get this mail because you are an owner. If it should not have happened, take it back, and ask who did it.")
}

fn changes_gathered<'a>(to: Draft<'a>, mail: &Mail) -> Draft<'a> {
    let changes: Vec<_> = MailKind::gathered_in(mail.field(MailField::Changes)).collect();
    let total = changes.iter().fold(0_u64, |total, (_, count)| total.saturating_add(*count));
    let more = if total == 1 { "There was 1 more change".to_owned() } else { format!("There were {total} more changes") };
    let to = to.subject("More changes to your account").says(format!(
        "{more} to your account or to projects that you own, after the mails that you just had. You get one mail about all of them, so that no number of mails hides one."
    ));
    let to = to.fact("Since", moment(mail, MailField::At));
    let to = changes.into_iter().fold(to, |to, (kind, count)| to.fact(changes_in_words(kind), count.to_string()));
    to.says_then("The history of your account shows each of them: when it was made, from where, and with what.")
        .says_then("If something there was not you, secure your account: that page has the link for it.")
        .page("History of your account", "/account/history/")
}

/// What is counted, of those that [`MailKind::can_be_gathered`].
fn changes_in_words(kind: MailKind) -> &'static str {
    match kind {
        MailKind::EmailAdded => "E-mail addresses added",
        MailKind::EmailRemoved => "E-mail addresses removed",
        MailKind::PrimaryEmailChanged => "Changes of the primary e-mail address",
        MailKind::PasswordChanged => "Password changes",
        MailKind::FactorAdded => "Second factors added",
        MailKind::FactorRemoved => "Second factors removed",
        MailKind::RecoveryCodesGenerated => "New sets of recovery codes",
        MailKind::RecoveryCodeUsed => "Recovery codes used",
        MailKind::RecoveryCodesLow => "Notes that few recovery codes are left",
        MailKind::RecoveryCancelled => "Recoveries stopped",
        MailKind::TokenCreated => "API tokens created",
        MailKind::RoleChanged => "Changes of your roles",
        MailKind::CollaboratorChanged => "Changes of who works on your projects",
        _ => "Other changes",
    }
}

/// A moment as people read it: `2026-01-05 12:00:00 UTC`.
fn moment(mail: &Mail, field: MailField) -> String {
    one_line(mail.field(field)).replace('T', " ").replace('Z', " UTC")
}

/// A letter being written.
struct Draft<'a> {
    mail: &'a Mail,
    letter: Letter,
}

impl<'a> Draft<'a> {
    fn new(mail: &'a Mail, registry: &Registry) -> Self {
        let greeting = match mail.kind {
            // It tells owners of somebody else, and others of nobody.
            MailKind::CollaboratorChanged | MailKind::ChangesGathered | MailKind::Test => "Hello,".to_owned(),
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

    /// When, from where, and with what, as far as the mail knows.
    fn facts(mut self) -> Self {
        let known: Vec<_> = [(MailField::At, "When"), (MailField::RemoteAddress, "From"), (MailField::Device, "With")]
            .into_iter()
            .filter(|(field, _)| self.mail.kind.fields().contains(field))
            .collect();
        for (field, name) in known {
            let value = if field == MailField::At { moment(self.mail, field) } else { one_line(self.mail.field(field)) };
            self.letter.facts.push((name, value));
        }
        self
    }

    /// The link, and how long it counts if the mail says so.
    fn link(mut self, label: &str) -> Self {
        self.letter.link = Some(Link { label: label.to_owned(), address: one_line(self.mail.field(MailField::Link)) });
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
        self.letter.page = Some(Link { label: label.to_owned(), address: format!("{}{path}", self.letter.registry.public_url) });
        self
    }

    fn if_it_was_not_you(self) -> Self {
        self.says_then("If it was you, there is nothing to do.")
            .says_then(
                "If it was not you, secure your account now: that ends all sessions, revokes all API tokens and lets only you set a new password, through your mail.",
            )
            .page("Secure my account", "/account/secure")
    }

    /// The same where mails may go to somebody else by now.
    fn if_this_address_was_taken_away(self) -> Self {
        self.says_then("If it was you, there is nothing to do.")
            .says_then(
                "If it was not you, log in and secure your account now: that ends all sessions, revokes all API tokens and switches the password off. \
                 The page says which address gets the link for a new password. For 7 days after somebody who was logged in made another address \
                 the primary one, it is the address from before.",
            )
            .says_then("If you cannot log in any more, tell the operators of the registry.")
            .page("Secure my account", "/account/secure")
    }

    /// The same where the password is no longer the one that its owner knows.
    fn if_you_did_not_set_it(self) -> Self {
        self.says_then("If it was you, there is nothing to do.")
            .says_then(
                "If it was not you, set a new password now, through your mail: that ends all sessions. \
                 Then say in your account that it was not you, which revokes all API tokens, too.",
            )
            .page("Set a new password", "/password/forgot")
    }

    fn done(self) -> Letter {
        let is_marked = self.mail.fields.iter().any(|(field, text)| foreign::is_marked(*field, text));
        if is_marked { self.says_then(foreign::NOTE).letter } else { self.letter }
    }
}
