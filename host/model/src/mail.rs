//! Mails to people. One list of mails and of the words they are filled with; `mail` has a template
//! for each, and the outbox stores them until they are sent.

use std::collections::BTreeMap;

crate::project::words! {
    /// Which mail it is.
    MailKind {
        /// Finish a registration: a link.
        RegistrationConfirm = "registration-confirm",
        /// Somebody registered with an address that already has an account.
        RegistrationExisting = "registration-existing",
        /// Somebody registered with a name that is taken, and with an address that has no account.
        RegistrationNameTaken = "registration-name-taken",
        /// Prove that an address is one's own: a link.
        EmailVerify = "email-verify",
        /// An address was added; to the primary address.
        EmailAdded = "email-added",
        /// An address was removed; to the primary address and to the one that was removed.
        EmailRemoved = "email-removed",
        /// Another address became the primary one; to both.
        PrimaryEmailChanged = "primary-email-changed",
        /// Set a new password: a link.
        PasswordResetLink = "password-reset-link",
        /// The password was changed by somebody who knew the old one.
        PasswordChanged = "password-changed",
        /// The password was reset through a link.
        PasswordReset = "password-reset",
        /// The password was found in a breach and is disabled.
        PasswordBreached = "password-breached",
        /// A second factor was added.
        FactorAdded = "factor-added",
        /// A second factor was removed.
        FactorRemoved = "factor-removed",
        /// Recovery codes were generated.
        RecoveryCodesGenerated = "recovery-codes-generated",
        /// A recovery code was used.
        RecoveryCodeUsed = "recovery-code-used",
        /// Few recovery codes are left.
        RecoveryCodesLow = "recovery-codes-low",
        /// Somebody with password and code logs in from an unknown device: a link.
        DeviceConfirm = "device-confirm",
        /// Somebody with password and code acts from an unknown command line: a link.
        CommandLineConfirm = "command-line-confirm",
        /// Everything was ended because the owner said "this wasn't me": a link for a new password.
        AccountSecured = "account-secured",
        /// The same, without a link: to the primary address, if the link went to the previous one.
        AccountSecuredElsewhere = "account-secured-elsewhere",
        /// The account was deleted.
        AccountDeleted = "account-deleted",
        /// Staff started to recover the account: a link to stop it.
        RecoveryStarted = "recovery-started",
        /// The recovery was stopped.
        RecoveryCancelled = "recovery-cancelled",
        /// Staff recovered the account: a link for a new password.
        RecoveryCompleted = "recovery-completed",
        /// An API token was created.
        TokenCreated = "token-created",
        /// A role on a project was given, changed or removed; to its user.
        RoleChanged = "role-changed",
        /// The same, to the other owners of the project.
        CollaboratorChanged = "collaborator-changed",
        /// Files wait to be published; to the owners, once for each release that waits.
        ReleaseStaged = "release-staged",
        /// Operators yanked or deleted something in a project; to its owners.
        ContentRemoved = "content-removed",
        /// An operator created the account: a link to choose a password.
        Invitation = "invitation",
        /// Changes beyond the number of mails that one address gets at once; how many of which
        /// kind.
        ChangesGathered = "changes-gathered",
        /// For operators, to check whether mail arrives.
        Test = "test",
    }
}

crate::project::words! {
    /// A word that a mail is filled with.
    MailField {
        /// Name of the user it is about.
        UserName = "user-name",
        /// An email address it is about.
        Address = "address",
        /// The other email address.
        OtherAddress = "other-address",
        /// A complete URL of this registry, to be opened once. A secret.
        Link = "link",
        /// How long the link is valid, in words.
        LinkLifetime = "link-lifetime",
        /// Where the request came from.
        RemoteAddress = "remote-address",
        /// The browser or program, as far as known.
        Device = "device",
        /// When it happened, RFC 3339 in UTC to the second.
        At = "at",
        /// Which second factor, in words.
        Factor = "factor",
        /// Description of a token, name of a key.
        Name = "name",
        /// What a token may be used for, in words.
        Scope = "scope",
        /// How many are left.
        Left = "left",
        /// Why, in words.
        Reason = "reason",
        /// When something will happen, RFC 3339 in UTC to the second.
        EffectiveAt = "effective-at",
        /// Name of a project.
        Project = "project",
        /// A role, or `none`.
        Role = "role",
        /// A version of a project.
        Version = "version",
        /// What was removed, in words.
        What = "what",
        /// Who did it.
        Actor = "actor",
        /// How many mails of which kinds this one replaces: `token-created=10 email-removed=2`.
        Changes = "changes",
        /// Mails that are listed in one, as [`Mail::as_listed`] writes them.
        Listed = "listed",
    }
}

impl MailKind {
    /// The words this mail needs, each once.
    pub fn fields(self) -> &'static [MailField] {
        use MailField::*;
        match self {
            Self::RegistrationConfirm => &[UserName, Link, LinkLifetime, RemoteAddress],
            Self::RegistrationExisting | Self::RegistrationNameTaken => &[UserName, RemoteAddress],
            Self::EmailVerify => &[UserName, Address, Link, LinkLifetime],
            Self::EmailAdded | Self::EmailRemoved => {
                &[UserName, Address, RemoteAddress, Device, At]
            }
            Self::PrimaryEmailChanged => {
                &[UserName, Address, OtherAddress, RemoteAddress, Device, At]
            }
            Self::PasswordResetLink => &[UserName, Link, LinkLifetime, RemoteAddress],
            Self::PasswordChanged
            | Self::PasswordReset
            | Self::RecoveryCodesGenerated
            | Self::AccountDeleted
            | Self::AccountSecuredElsewhere => &[UserName, RemoteAddress, Device, At],
            Self::PasswordBreached => &[UserName, RemoteAddress, At],
            Self::FactorAdded | Self::FactorRemoved => {
                &[UserName, Factor, Name, RemoteAddress, Device, At]
            }
            Self::RecoveryCodeUsed => &[UserName, Left, RemoteAddress, Device, At],
            Self::RecoveryCodesLow => &[UserName, Left],
            Self::DeviceConfirm | Self::CommandLineConfirm => {
                &[UserName, Link, LinkLifetime, RemoteAddress, Device, At]
            }
            Self::AccountSecured => &[UserName, Link, LinkLifetime, RemoteAddress, Device, At],
            Self::RecoveryStarted => &[UserName, Reason, EffectiveAt, Link, At],
            Self::RecoveryCancelled => &[UserName, At],
            Self::RecoveryCompleted => &[UserName, Link, LinkLifetime, At],
            Self::TokenCreated => &[UserName, Name, Scope, RemoteAddress, Device, At],
            Self::RoleChanged => &[UserName, Project, Role, Actor, At],
            Self::CollaboratorChanged => &[UserName, Project, Role, Actor, At],
            Self::ReleaseStaged => &[UserName, Project, Version, Actor, At],
            Self::ContentRemoved => &[UserName, Project, What, Reason, At],
            Self::Invitation => &[UserName, Link, LinkLifetime],
            Self::ChangesGathered => &[Changes, Listed, At],
            Self::Test => &[At],
        }
    }

    /// Whether several of them may be combined into one [`Self::ChangesGathered`]: they say what
    /// happened, which the account's history shows too, or else that mail ([`Self::is_listed`]).
    /// Never a mail that has a link or is about the end of an account, nor one with another limit:
    /// requested mails (`identity::Limits`), a breached password (once an hour), a reset password
    /// (by a mailed link).
    pub fn can_be_gathered(self) -> bool {
        match self {
            Self::EmailAdded
            | Self::EmailRemoved
            | Self::PrimaryEmailChanged
            | Self::PasswordChanged
            | Self::FactorAdded
            | Self::FactorRemoved
            | Self::RecoveryCodesGenerated
            | Self::RecoveryCodeUsed
            | Self::RecoveryCodesLow
            | Self::RecoveryCancelled
            | Self::TokenCreated
            | Self::RoleChanged
            | Self::CollaboratorChanged
            | Self::ReleaseStaged
            | Self::ContentRemoved => true,
            Self::RegistrationConfirm
            | Self::RegistrationExisting
            | Self::RegistrationNameTaken
            | Self::EmailVerify
            | Self::PasswordResetLink
            | Self::PasswordReset
            | Self::PasswordBreached
            | Self::DeviceConfirm
            | Self::CommandLineConfirm
            | Self::AccountSecured
            | Self::AccountSecuredElsewhere
            | Self::AccountDeleted
            | Self::RecoveryStarted
            | Self::RecoveryCompleted
            | Self::Invitation
            | Self::ChangesGathered
            | Self::Test => false,
        }
    }

    /// Whether the combined mail lists each of them: the account's history does not show them,
    /// since somebody else changed a project.
    pub fn is_listed(self) -> bool {
        matches!(
            self,
            Self::RoleChanged
                | Self::CollaboratorChanged
                | Self::ReleaseStaged
                | Self::ContentRemoved
        )
    }

    /// Whether it has its own limit, which other mails cannot use up: somebody waits for an answer
    /// to it, or nothing else reports it.
    pub fn has_own_bound(self) -> bool {
        matches!(self, Self::ReleaseStaged | Self::ContentRemoved)
    }

    /// The kinds in a [`MailField::Changes`], with the number of each.
    pub fn gathered_in(changes: &str) -> impl Iterator<Item = (Self, u64)> {
        changes.split(' ').filter_map(|entry| {
            let (kind, count) = entry.split_once('=')?;
            Some((Self::from_word(kind)?, count.parse().ok()?))
        })
    }
}

/// The key for the kind of a listed mail; no field has this name.
const KIND: &str = "kind";

/// A mail, before it has an addressee.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    pub kind: MailKind,
    /// The words it is filled with, in the order of [`MailKind::fields`].
    pub fields: Vec<(MailField, String)>,
}

impl Mail {
    /// A mail with its words. Panics if they are not exactly those of its kind: the first test that
    /// sends it finds such a mistake.
    pub fn new<const N: usize>(kind: MailKind, words: [(MailField, String); N]) -> Self {
        let given = Vec::from(words);
        assert_eq!(given.len(), kind.fields().len(), "the words of {kind}");
        let word = |field: &MailField| {
            given
                .iter()
                .find(|(known, _)| known == field)
                .unwrap_or_else(|| panic!("{kind} needs {field}"))
                .clone()
        };
        Self {
            kind,
            fields: kind.fields().iter().map(word).collect(),
        }
    }

    /// The mails that this one lists, those of its [`MailField::Listed`].
    pub fn listed(&self) -> Vec<Mail> {
        let listed: Vec<BTreeMap<String, String>> =
            serde_json::from_str(self.field(MailField::Listed)).unwrap_or_default();
        let mail = |words: BTreeMap<String, String>| {
            let kind = MailKind::from_word(words.get(KIND)?)?;
            let field = |field: &MailField| {
                let word = words.get(field.as_str()).cloned().unwrap_or_default();
                (*field, word)
            };
            Some(Mail {
                kind,
                fields: kind.fields().iter().map(field).collect(),
            })
        };
        listed.into_iter().filter_map(mail).collect()
    }

    /// These mails as the word of [`MailField::Listed`].
    pub fn as_listed(mails: &[Mail]) -> String {
        let words = |mail: &Mail| {
            let fields = mail
                .fields
                .iter()
                .map(|(field, word)| (field.as_str().to_owned(), word.clone()));
            std::iter::once((KIND.to_owned(), mail.kind.as_str().to_owned()))
                .chain(fields)
                .collect::<BTreeMap<_, _>>()
        };
        serde_json::json!(mails.iter().map(words).collect::<Vec<_>>()).to_string()
    }

    /// A word; empty if the mail has none of this name.
    pub fn field(&self, field: MailField) -> &str {
        self.fields
            .iter()
            .find(|(known, _)| *known == field)
            .map_or("", |(_, text)| text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_mail_needs_a_word_twice() {
        for kind in MailKind::ALL {
            let fields = kind.fields();
            assert!(
                fields
                    .iter()
                    .enumerate()
                    .all(|(place, field)| !fields[..place].contains(field)),
                "{kind}"
            );
        }
    }

    #[test]
    fn no_mail_with_a_link_is_gathered() {
        for kind in MailKind::ALL.iter().filter(|kind| kind.can_be_gathered()) {
            assert!(!kind.fields().contains(&MailField::Link), "{kind}");
        }
        let read = MailKind::gathered_in("token-created=10 nonsense=1 x email-added=2")
            .collect::<Vec<_>>();
        assert_eq!(
            read,
            [(MailKind::TokenCreated, 10), (MailKind::EmailAdded, 2)]
        );
    }

    #[test]
    fn listed_mails_read_back() {
        let word = |field: MailField, word: &str| (field, word.to_owned());
        let mails = [Mail::new(
            MailKind::ContentRemoved,
            [
                word(MailField::UserName, "ana"),
                word(MailField::Project, "demo"),
                word(MailField::What, "it was \"deleted\""),
                word(MailField::Reason, "malware"),
                word(MailField::At, "2026-01-05T12:00:00Z"),
            ],
        )];
        let gathering = Mail::new(
            MailKind::ChangesGathered,
            [
                word(MailField::Changes, "content-removed=1"),
                word(MailField::Listed, &Mail::as_listed(&mails)),
                word(MailField::At, "2026-01-05T12:00:00Z"),
            ],
        );
        assert_eq!(gathering.listed(), mails);
        assert_eq!(mails[0].listed(), []);
        assert!(MailField::ALL.iter().all(|field| field.as_str() != KIND));
    }

    #[test]
    fn words_stand_in_the_order_of_the_kind() {
        let mail = Mail::new(
            MailKind::RecoveryCodesLow,
            [
                (MailField::Left, "2".to_owned()),
                (MailField::UserName, "ana".to_owned()),
            ],
        );
        assert_eq!(mail.fields[0].0, MailField::UserName);
        assert_eq!(
            (mail.field(MailField::Left), mail.field(MailField::Link)),
            ("2", "")
        );
    }
}
