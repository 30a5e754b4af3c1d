//! Mails to the owners of a project.

use model::mail::{Mail, MailField, MailKind};

use super::{Draft, moment, spoken};

pub(super) fn release_staged<'a>(
    to: Draft<'a>,
    mail: &Mail,
    word: &dyn Fn(MailField) -> String,
) -> Draft<'a> {
    let (project, version, actor) = (
        word(MailField::Project),
        word(MailField::Version),
        word(MailField::Actor),
    );
    let to = to.subject("A release waits to be published")
        .says(format!("{actor} uploaded files of release {version} of your project {project}. They are stored, and nobody can install them until someone publishes the release."))
        .fact("When", moment(mail, MailField::At));
    how_to_publish(to, &project, typed(mail.field(MailField::Version)))
        .page("How staged releases work", "/help/#staged-releases")
}

pub(super) fn how_to_publish<'a>(to: Draft<'a>, project: &str, version: &str) -> Draft<'a> {
    let url = to.letter.registry.public_url.clone();
    to.says_then("To publish a release once all its files are there, run this command. It shows each file and who uploaded it before it asks you:")
        .says_then(format!("portcullis release publish {project} {version} --url {url}"))
        .says_then("If you did not expect the release, reject it: the same command with `reject` in place of `publish`. Then revoke the token it was uploaded with.")
}

/// One of several changes, on one line.
pub(super) fn listed<'a>(to: Draft<'a>, mail: &Mail) -> Draft<'a> {
    let word = |field: MailField| spoken(mail, field);
    let (project, actor, user) = (
        word(MailField::Project),
        word(MailField::Actor),
        word(MailField::UserName),
    );
    let role = word(MailField::Role);
    let (name, what) = match mail.kind {
        MailKind::ReleaseStaged => (
            "Waits",
            format!(
                "{project} {}, uploaded by {actor}",
                word(MailField::Version)
            ),
        ),
        MailKind::ContentRemoved => (
            "By an operator",
            format!(
                "{project}: {}. Reason: {}",
                word(MailField::What),
                word(MailField::Reason)
            ),
        ),
        MailKind::RoleChanged => ("Your role", format!("{project}: {role}, by {actor}")),
        _ => ("Role", format!("{project}: {user} is {role}, by {actor}")),
    };
    to.fact(name, what)
}

/// A version as it is typed, if no program turns it into a link; otherwise a placeholder.
fn typed(version: &str) -> &str {
    let is_plain = version
        .bytes()
        .all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'a' | b'b' | b'r' | b'c'));
    if is_plain { version } else { "VERSION" }
}

pub(super) fn content_removed<'a>(
    to: Draft<'a>,
    mail: &Mail,
    word: &dyn Fn(MailField) -> String,
) -> Draft<'a> {
    let (project, what) = (word(MailField::Project), word(MailField::What));
    let registry = to.letter.registry.name.clone();
    to.subject("The operators changed what your project offers")
        .says(format!("An operator of {registry} changed your project {project}: {what}."))
        .fact("Reason", word(MailField::Reason))
        .fact("When", moment(mail, MailField::At))
        .says_then("You get this mail because you are an owner. If you think this is a mistake, contact the operators of the registry.")
}
