//! Whole ceremonies, with a software passkey in place of browser and authenticator, a real gate and
//! a real database.
//!
//! Needs the policy modules: `cargo xtask build-plugins`.

mod apps;
mod challenges;
mod keys;
mod recovery_codes;
mod removal;
mod software_key;

use std::net::IpAddr;
use std::sync::Arc;

use gate::{Attempt, Gate, Method, Permit, Refusal, SetPackage, Target, break_glass};
use model::audit::{AuditEvent, Detail, EventKind};
use model::time::ManualClock;
use model::{
    Assurance, Caller, CeremonyKind, Clock, CredentialKind, Factor, FactorUse, KeyId, MailKind,
    PasswordState, Principal, SessionId, Timestamp, UserId, UserName,
};
use serde_json::Value;
use storage::Storage;
use storage::audit::AuditFilter;
use storage::ceremonies::NewCeremony;
use storage::sessions::NewSession;
use storage::users::UserRow;
use testkit::{GateBuilder, NOW};

use super::keys::{EnrollKey, KeyKind, ProposeKey};
use super::{ConfirmRecoveryCodes, FactorError, GenerateRecoveryCodes, KeyAnswer, KeyChallenge};
use crate::limits::{Limit, Limits};
use crate::{
    Account, AccountView, CreateUser, Identity, IdentityConfig, OwnSession, ReadAccount,
    RequestContext, Secret, opaque,
};
use software_key::SoftwareKey;

const ORIGIN: &str = "https://pypi.example.org";

struct Fixture {
    gate: Gate,
    identity: Identity,
    storage: Storage,
    clock: Arc<ManualClock>,
    _folder: tempfile::TempDir,
}

/// Somebody who is logged in and has just proven a second factor.
#[derive(Clone, Copy)]
struct Person {
    user: UserId,
    session: SessionId,
}

impl Fixture {
    async fn new() -> Self {
        Self::at(ORIGIN, Limits::default()).await
    }

    async fn at(public_url: &str, limits: Limits) -> Self {
        // Permissions are not tested here, and fewer policies compile faster.
        Self::with(public_url, limits, |package| {
            package.spec.bindings.truncate(1);
            package.modules.truncate(1);
        })
        .await
    }

    async fn with(public_url: &str, limits: Limits, change: impl Fn(&mut SetPackage)) -> Self {
        let (storage, folder) = testkit::database().await;
        let clock = Arc::new(ManualClock::at(NOW));
        let mut package = testkit::shipped("default");
        package.cases.clear();
        change(&mut package);
        let gate = GateBuilder::on(&storage)
            .clock(clock.clone())
            .with(package)
            .await;
        let config = IdentityConfig {
            public_url: public_url.to_owned(),
            limits,
            ..IdentityConfig::for_host("pypi.example.org")
        };
        let identity = Identity::new(storage.clone(), clock.clone(), config).unwrap();
        Self {
            gate,
            identity,
            storage,
            clock,
            _folder: folder,
        }
    }

    fn attempt(&self) -> Attempt {
        self.gate
            .begin("/test", Method::Post, IpAddr::from([192, 0, 2, 1]), "test")
    }

    fn later(&self, seconds: i64) {
        self.clock.advance_seconds(seconds);
    }

    /// A user without recovery codes.
    async fn newcomer(&self, name: &str, email_verified: bool) -> Person {
        let target = CreateUser {
            name: UserName::parse(name).unwrap(),
            email: Some(format!("{name}@example.org")),
            email_verified,
            staff: false,
        };
        let permit = break_glass(&self.storage, &*self.clock, "operator", target)
            .await
            .unwrap();
        let user = self.identity.accounts().create(permit).await.unwrap();
        Person {
            user,
            session: self.session(user).await,
        }
    }

    /// A live session of a user.
    async fn session(&self, user: UserId) -> SessionId {
        let (id, at) = (SessionId::new(), self.clock.now());
        let (_, secret) = opaque::generate();
        let expires_at = at.plus_ms(30 * 24 * 3_600_000);
        let assurance = Assurance {
            password_at: Some(at),
            ..Assurance::NONE
        };
        let session = NewSession {
            secret: &secret,
            id,
            user,
            created_at: at,
            expires_at,
            remote_address: "192.0.2.1",
            user_agent: "test",
            assurance,
        };
        let mut unit = self.storage.begin().await.unwrap();
        unit.create_session(&session).await.unwrap();
        let kind = EventKind::SessionStarted;
        let event =
            AuditEvent::of_server(at, Detail::read(kind, &serde_json::json!({}))).about(Some(user));
        unit.commit(&event).await.unwrap();
        id
    }

    /// A user who may enroll factors.
    async fn person(&self, name: &str) -> Person {
        let person = self.newcomer(name, true).await;
        let codes = self.codes_of(person).await;
        self.confirm(person, codes[0].expose()).await.unwrap();
        person
    }

    async fn codes_of(&self, person: Person) -> Vec<Secret<String>> {
        self.identity
            .factors()
            .generate_recovery_codes(
                self.permit(
                    person,
                    GenerateRecoveryCodes {
                        account: Account::at_the_server(person.user),
                    },
                )
                .await,
            )
            .await
            .unwrap()
    }

    async fn confirm(&self, person: Person, code: &str) -> Result<(), FactorError> {
        let target = ConfirmRecoveryCodes {
            account: Account::at_the_server(person.user),
            code: code.to_owned(),
        };
        self.identity
            .factors()
            .confirm_recovery_codes(self.permit(person, target).await)
            .await
    }

    async fn user(&self, person: Person) -> UserRow {
        self.storage.user(person.user).await.unwrap().unwrap()
    }

    async fn caller(&self, person: Person) -> Caller {
        let user = self.user(person).await.facts();
        let now = self.clock.now();
        let second_factor = user.factors.any().then_some(FactorUse {
            factor: Factor::Totp,
            at: now,
        });
        Caller {
            credential: CredentialKind::Session,
            principal: Principal::User(user),
            token: None,
            session: Some(person.session),
            assurance: Assurance {
                password_at: Some(now),
                second_factor,
                password_state: PasswordState::Clean,
            },
        }
    }

    /// What this person may see of their account.
    async fn view(&self, person: Person) -> AccountView {
        let account = Account::at_the_server(person.user);
        let target = ReadAccount { account };
        let permit = break_glass(&self.storage, &*self.clock, "operator", target)
            .await
            .unwrap();
        AccountView::of(&permit)
    }

    async fn own_session(&self, person: Person) -> OwnSession {
        OwnSession::of(&self.caller(person).await).unwrap()
    }

    async fn permit<T: Target>(&self, person: Person, target: T) -> Permit<T> {
        self.gate
            .decide(&self.attempt(), &self.caller(person).await, target)
            .await
            .unwrap_or_else(|refusal| panic!("{:?}", refusal.reasons))
    }

    async fn propose(&self, person: Person, kind: KeyKind) -> Result<KeyChallenge, FactorError> {
        let target = ProposeKey {
            session: self.own_session(person).await,
            kind,
        };
        self.identity
            .factors()
            .propose_key(self.permit(person, target).await)
            .await
    }

    async fn enroll_answer(
        &self,
        person: Person,
        name: &str,
        ceremony: &str,
        response: String,
    ) -> Result<KeyId, FactorError> {
        let answer = KeyAnswer {
            ceremony: ceremony.to_owned(),
            response,
        };
        let target = EnrollKey {
            session: self.own_session(person).await,
            name: name.to_owned(),
            answer,
        };
        self.identity
            .factors()
            .enroll_key(self.permit(person, target).await)
            .await
            .map(|(key, _)| key)
    }

    /// A complete enrollment.
    async fn enroll(&self, person: Person, kind: KeyKind, name: &str) -> SoftwareKey {
        let mut key = SoftwareKey::at(ORIGIN);
        self.enroll_with(person, kind, name, &mut key)
            .await
            .unwrap();
        key
    }

    async fn enroll_with(
        &self,
        person: Person,
        kind: KeyKind,
        name: &str,
        key: &mut SoftwareKey,
    ) -> Result<KeyId, FactorError> {
        let challenge = self.propose(person, kind).await?;
        self.enroll_answer(
            person,
            name,
            challenge.ceremony.expose(),
            key.make(&challenge.options),
        )
        .await
    }

    /// A login that waits for its second factor, in the state after the password step.
    async fn pending(&self, person: Person) -> Secret<String> {
        let (pending, secret) = opaque::generate();
        let now = self.clock.now();
        let new = NewCeremony {
            secret: &secret,
            kind: CeremonyKind::Login,
            user: Some(person.user),
            session: None,
            state: "{}",
            created_at: now,
            expires_at: now.plus_ms(300_000),
        };
        self.storage.open_ceremony(&new).await.unwrap();
        pending
    }

    async fn challenge_for_pending(
        &self,
        pending: &Secret<String>,
    ) -> Result<KeyChallenge, Refusal> {
        self.identity
            .factors()
            .challenge_for_pending(
                RequestContext::new(&self.gate, &self.attempt()),
                pending.expose(),
            )
            .await
    }

    async fn challenge_for_step_up(&self, person: Person) -> Result<KeyChallenge, Refusal> {
        self.identity
            .factors()
            .challenge_for_step_up(
                RequestContext::new(&self.gate, &self.attempt()),
                &self.caller(person).await,
            )
            .await
    }

    async fn challenge_for_passkey(&self) -> Result<KeyChallenge, Refusal> {
        self.identity
            .factors()
            .challenge_for_passkey(RequestContext::new(&self.gate, &self.attempt()))
            .await
    }

    /// Every event, oldest first.
    async fn events(&self) -> Vec<AuditEvent> {
        let rows = self
            .storage
            .events(&AuditFilter::default(), None, 1000)
            .await
            .unwrap();
        rows.into_iter().rev().map(|row| row.event).collect()
    }

    async fn details(&self, kind: EventKind) -> Vec<Value> {
        self.events()
            .await
            .into_iter()
            .filter(|event| event.kind() == kind)
            .map(|event| event.detail.to_json())
            .collect()
    }

    /// The kinds and recipients of the mails that wait to be sent, oldest first.
    async fn mails(&self) -> Vec<(MailKind, String)> {
        let now = self.clock.now();
        let mails = self
            .storage
            .lease_mails(now, now.plus_ms(1), 100)
            .await
            .unwrap();
        mails
            .into_iter()
            .map(|mail| (mail.mail.kind, mail.recipient))
            .collect()
    }
}

fn limits(attempts: u32) -> Limits {
    let some = vec![Limit {
        attempts,
        window_seconds: 300,
    }];
    Limits {
        totp_per_user: some.clone(),
        recovery_code_per_user: some.clone(),
        challenges_per_address: some,
        ..Limits::default()
    }
}
