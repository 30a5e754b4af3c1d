//! What the owners of a project are told about it.

use model::mail::{Mail, MailField};

use super::{Draft, moment};

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
    let command = format!(
        "portcullis release publish {project} {}",
        typed(mail.field(MailField::Version))
    );
    let url = to.letter.registry.public_url.clone();
    to.subject("A release waits to be published")
        .says(format!("{actor} uploaded files of release {version} of your project {project}. They are stored, and nobody can install them until someone publishes the release."))
        .fact("When", moment(mail, MailField::At))
        .says_then("To publish it once all its files are there, run this command. It shows each file and who uploaded it before it asks you:")
        .says_then(format!("{command} --url {url}"))
        .says_then("If you did not expect this release, reject it: the same command with `reject` in place of `publish`. Then revoke the token it was uploaded with.")
        .page("How staged releases work", "/help/#staged-releases")
}

/// A version as it is typed, where no program makes a link of it; else what stands for it.
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
