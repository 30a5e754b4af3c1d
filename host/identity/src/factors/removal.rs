//! Removing a second factor, and the rule about the last one.

use std::borrow::Cow;

use gate::demands::Demand;
use gate::{ChangeFacts, Permit, ProjectFacts, Target, TargetFacts};
use model::audit::Detail;
use model::mail::{Mail, MailField, MailKind};
use model::{Action, Caller, Factor, KeyId, UserId};
use serde_json::{Map, Value};
use storage::sessions::Proven;
use storage::{Conflict, StorageError};

use super::Factors;
use super::{APP, FactorError, words};
use crate::Account;
use crate::accounts::notices;
use crate::own::of_account;
use crate::request::RequestContext;
use crate::sessions::StartedSession;

/// A factor of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FactorName {
    Totp,
    Key(KeyId),
}

/// Remove a second factor. Built by [`Factors::to_remove`], which finds out what demands it.
#[derive(Clone, Debug)]
pub struct RemoveFactor {
    pub(crate) account: Account,
    which: FactorName,
    /// The name its owner gave it.
    name: String,
    /// Its kind, in words for people.
    word: &'static str,
    is_last: bool,
    demands: Vec<Demand>,
}

impl RemoveFactor {
    pub fn user(&self) -> UserId {
        self.account.id()
    }

    pub fn which(&self) -> FactorName {
        self.which
    }

    /// The name its owner gave it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it was the user's only factor when it was looked up.
    pub fn is_last(&self) -> bool {
        self.is_last
    }

    /// What demands a second factor of this user, for the page. If not empty, the last factor
    /// cannot be removed.
    pub fn demands(&self) -> &[Demand] {
        &self.demands
    }
}

/// Name the key to remove: decided before the user's keys are searched.
#[derive(Clone, Copy, Debug)]
pub struct OpenRemoval {
    pub account: Account,
}

impl Target for OpenRemoval {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts::of(Action::FactorRemove)
    }
}

impl Target for RemoveFactor {
    fn facts(&self) -> TargetFacts<'_> {
        let factor = match self.which {
            FactorName::Totp => Factor::Totp,
            FactorName::Key(_) => Factor::Webauthn,
        };
        TargetFacts {
            change: ChangeFacts::Factor(factor),
            ..TargetFacts::of(Action::FactorRemove)
        }
    }
}

of_account! {
    OpenRemoval: account,
    RemoveFactor: account,
}

impl Factors<'_> {
    /// Looks up a factor of the caller and determines what would be lost without it, using the
    /// policy set that decides this request.
    pub async fn to_remove(
        self,
        context: RequestContext<'_>,
        caller: &Caller,
        which: FactorName,
    ) -> Result<RemoveFactor, FactorError> {
        let account = Account::of(caller).ok_or(FactorError::UnknownUser)?;
        let user = self
            .storage()
            .user(account.id())
            .await?
            .ok_or(FactorError::UnknownUser)?;
        let keys = self.storage().keys_of(user.id).await?;
        let has_totp = user.totp_secret.is_some();
        let (name, word) = match which {
            FactorName::Totp if !has_totp => return Err(FactorError::TotpNotEnrolled),
            FactorName::Totp => (self.config().totp_issuer.clone(), APP),
            FactorName::Key(id) => {
                let key = keys
                    .iter()
                    .find(|key| key.id == id)
                    .ok_or(FactorError::UnknownKey)?;
                (key.name.clone(), words(key.kind))
            }
        };
        let demands = self.demands_of(context, caller).await?;
        Ok(RemoveFactor {
            account,
            which,
            name,
            word,
            is_last: keys.len() + usize::from(has_totp) == 1,
            demands,
        })
    }

    /// Looks up a key that an operator removes because it was lost or stolen. Demands for a second
    /// factor do not prevent this: the owner has to meet them at the next login.
    pub async fn key_to_remove(
        self,
        account: Account,
        key: KeyId,
    ) -> Result<RemoveFactor, FactorError> {
        let user = self
            .storage()
            .user(account.id())
            .await?
            .ok_or(FactorError::UnknownUser)?;
        let keys = self.storage().keys_of(user.id).await?;
        let key = keys
            .iter()
            .find(|row| row.id == key)
            .ok_or(FactorError::UnknownKey)?;
        let is_last = keys.len() == 1 && user.totp_secret.is_none();
        Ok(RemoveFactor {
            account,
            which: FactorName::Key(key.id),
            name: key.name.clone(),
            word: words(key.kind),
            is_last,
            demands: Vec::new(),
        })
    }

    /// What demands a second factor of the caller, for the page that lists the factors.
    pub async fn demands_of(
        self,
        context: RequestContext<'_>,
        caller: &Caller,
    ) -> Result<Vec<Demand>, StorageError> {
        let Some(user) = caller.user() else {
            return Ok(Vec::new());
        };
        let mut projects = Vec::new();
        for (project, role) in self.storage().projects_of(user.id).await? {
            let chosen = self.storage().project_settings(project.id).await?;
            let owner_settings: Map<String, Value> = chosen
                .into_iter()
                .map(|(policy, settings)| (policy, Value::Object(settings)))
                .collect();
            projects.push((project, role, Value::Object(owner_settings)));
        }
        let facts: Vec<ProjectFacts<'_>> = projects
            .iter()
            .map(|(project, role, owner_settings)| ProjectFacts {
                id: Some(project.id),
                normalized: project.name.normalized(),
                status: project.status,
                role: Some(*role),
                owner_settings: Cow::Borrowed(owner_settings),
            })
            .collect();
        let RequestContext { gate, attempt } = context;
        Ok(gate.demands_second_factor(attempt, caller, &facts).await)
    }

    /// Removes a factor. While a second factor is demanded, the write itself keeps one: if two are
    /// removed at once, one stays.
    pub async fn remove(
        self,
        permit: Permit<RemoveFactor>,
    ) -> Result<Option<StartedSession>, FactorError> {
        let RemoveFactor {
            account,
            which,
            name,
            word,
            demands,
            ..
        } = permit.target();
        let user = self
            .storage()
            .user(account.id())
            .await?
            .ok_or(FactorError::UnknownUser)?;
        let must_leave_factor = !demands.is_empty();
        let at = permit.at();
        let mailbox = self.identity.mailbox(&user).await?;
        let mut unit = permit.begin(self.storage()).await?;
        let removed = match which {
            FactorName::Totp => unit.remove_totp(user.id, must_leave_factor).await,
            FactorName::Key(key) => unit.remove_key(user.id, *key, must_leave_factor).await,
        };
        let removed = removed.map_err(|error| match error.conflict() {
            Some(Conflict::LastFactor) => FactorError::Demanded(demands.clone()),
            _ => error.into(),
        })?;
        let detail = match which {
            FactorName::Totp if !removed => return Err(FactorError::TotpNotEnrolled),
            FactorName::Key(_) if !removed => return Err(FactorError::UnknownKey),
            FactorName::Totp => Detail::TotpRemoved,
            FactorName::Key(key) => Detail::KeyRemoved {
                key: (*key).into(),
                name: name.clone(),
            },
        };
        let mail = Mail::new(
            MailKind::FactorRemoved,
            [
                mailbox.user_name(),
                (MailField::Factor, (*word).to_owned()),
                (MailField::Name, name.clone()),
                notices::remote_address(permit.actor()),
                notices::device(permit.actor()),
                notices::at(at),
            ],
        );
        mailbox.tell(&mut unit, &mail, at).await?;
        let started = self
            .identity
            .sessions()
            .change_secret(&mut unit, &permit, &mailbox.name, Proven::Nothing)
            .await?;
        unit.commit(&permit.event(detail).about(user.id)).await?;
        Ok(started)
    }
}
