use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gate::{Attempt, Gate, Method, Permit, Refusal, Target, break_glass};
use identity::limits::Limit;
use identity::{
    Account, AccountView, CreateUser, EnrollTotp, Identity, IdentityConfig, Limits, LoginStep,
    NewTokenScope, NotProven, PasswordHashing, PersonalProof, Presented, ReadAccount,
    RequestContext, Secret, SetPassword, StartedSession, UnspentCode,
};
use model::audit::{Actor, AuditEvent, Detail, EventKind};
use model::time::ManualClock;
use model::{Action, Caller, Clock, DecisionId, UserId, UserName};
use sha2::{Digest, Sha256};
use storage::Storage;
use storage::audit::{AuditFilter, AuditRow};
use testkit::GateBuilder;

pub(crate) use testkit::NOW;
pub(crate) const PASSWORD: &str = "correct horse";

/// Passwords upload, tokens upload, sessions do everything else.
const SET: &str = r#"
name = "test"
summary = "Passwords may upload."

[[binding]]
policy = "restrict-routes"
module = "restrict-routes.wasm"

[binding.settings]
none = ["index:read", "account:create", "password:reset", "email:verify", "session:start"]
basic-password = ["file:upload"]
api-token = ["file:upload"]
"#;

pub(crate) struct Fixture {
    pub(crate) gate: Gate,
    pub(crate) identity: Identity,
    pub(crate) storage: Storage,
    pub(crate) clock: Arc<ManualClock>,
    /// The device secret of each user's command line.
    pub(crate) command_lines: Mutex<HashMap<String, Secret<String>>>,
    _folder: tempfile::TempDir,
}

pub(crate) fn limits(attempts: u32) -> Limits {
    let some = || {
        vec![Limit {
            attempts,
            window_seconds: 300,
        }]
    };
    Limits {
        password_per_user: some(),
        password_per_known: some(),
        password_per_address: some(),
        password_of_all: Vec::new(),
        password_checks: Vec::new(),
        totp_per_user: some(),
        totp_per_address: some(),
        totp_of_all: Vec::new(),
        webauthn_per_user: some(),
        webauthn_per_address: some(),
        webauthn_of_all: Vec::new(),
        recovery_code_per_user: some(),
        recovery_code_per_address: some(),
        recovery_code_of_all: Vec::new(),
        challenges_per_address: some(),
        registrations_per_address: some(),
        resets_per_user: some(),
        resets_per_address: some(),
        added_emails_per_address: some(),
        verifications_per_user: some(),
        device_mails_per_device: vec![Limit {
            attempts: 1,
            window_seconds: 300,
        }],
        device_mails_per_address: some(),
        device_mails_per_user: some(),
        recoveries_per_user: some(),
        recoveries_per_staff: some(),
        refused_per_address: some(),
    }
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        Self::with(limits(1000)).await
    }

    pub(crate) async fn with(limits: Limits) -> Self {
        Self::configured("", |config| config.limits = limits).await
    }

    /// With additional bindings in the policy set, and with other choices of an operator.
    pub(crate) async fn configured(
        bindings: &str,
        configure: impl FnOnce(&mut IdentityConfig),
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("test.sqlite").display());
        Self::at(
            &url,
            folder,
            Arc::new(ManualClock::at(NOW)),
            bindings,
            configure,
        )
        .await
    }

    /// A server on a given database, for tests with several of both.
    pub(crate) async fn at(
        url: &str,
        folder: tempfile::TempDir,
        clock: Arc<ManualClock>,
        bindings: &str,
        configure: impl FnOnce(&mut IdentityConfig),
    ) -> Self {
        let storage = Storage::connect(url).await.unwrap();
        storage.migrate().await.unwrap();
        let package = testkit::written(folder.path(), &format!("{SET}{bindings}"));
        let gate = GateBuilder::on(&storage)
            .clock(clock.clone())
            .recording(1000)
            .with(package)
            .await;
        let password_hashing = PasswordHashing {
            memory_kib: 8,
            iterations: 1,
            lanes: 1,
            at_once: 4,
            waiting: 256,
            waiting_of_one: 16,
        };
        let mut config = IdentityConfig {
            password_hashing,
            limits: limits(1000),
            even_answers: Duration::ZERO,
            ..IdentityConfig::for_host("pypi.example.org")
        };
        configure(&mut config);
        let identity = Identity::new(storage.clone(), clock.clone(), config).unwrap();
        Self {
            gate,
            identity,
            storage,
            clock,
            command_lines: Mutex::default(),
            _folder: folder,
        }
    }

    pub(crate) async fn permit<T: Target>(&self, target: T) -> Permit<T> {
        break_glass(&self.storage, &*self.clock, "operator", target)
            .await
            .unwrap()
    }

    /// A user with [`PASSWORD`].
    pub(crate) async fn user(&self, name: &str) -> UserId {
        let target = CreateUser {
            name: user_name(name),
            email: Some(format!("{name}@example.org")),
            email_verified: true,
            staff: false,
        };
        let user = self
            .identity
            .accounts()
            .create(self.permit(target).await)
            .await
            .unwrap();
        let target = SetPassword {
            account: Account::at_the_server(user),
            password: Secret::new(PASSWORD.to_owned()),
        };
        self.identity
            .accounts()
            .set_password(self.permit(target).await)
            .await
            .unwrap();
        user
    }

    /// Enrolls TOTP and returns the secret. Discards the mails so far.
    pub(crate) async fn enroll(&self, user: UserId) -> Secret<String> {
        let target = EnrollTotp {
            account: Account::at_the_server(user),
            secret: None,
            code: None,
        };
        let secret = self
            .identity
            .accounts()
            .enroll_totp(self.permit(target).await)
            .await
            .unwrap()
            .secret;
        let now = self.clock.now();
        self.storage
            .lease_mails(now, now.plus_ms(1000 * 24 * 3600 * 1000), 1000)
            .await
            .unwrap();
        secret
    }

    /// The account with this name; for an unknown name, an account that never existed.
    pub(crate) async fn account(&self, name: &str) -> Account {
        let user = self.storage.user_by_name(&user_name(name)).await.unwrap();
        Account::at_the_server(user.map_or_else(UserId::new, |user| user.id))
    }

    /// The data that this user may see of their account.
    pub(crate) async fn view(&self, user: UserId) -> AccountView {
        let account = Account::at_the_server(user);
        AccountView::of(&self.permit(ReadAccount { account }).await)
    }

    pub(crate) async fn token(&self, user: &str, scope: NewTokenScope) -> String {
        let target = self
            .identity
            .tokens()
            .to_create(
                self.account(user).await,
                &format!("token {}", model::TokenId::new()),
                scope,
                None,
                None,
            )
            .await
            .unwrap();
        self.identity
            .tokens()
            .create(self.permit(target).await)
            .await
            .unwrap()
            .text
            .expose()
            .clone()
    }

    pub(crate) fn attempt(&self) -> Attempt {
        self.attempt_from("192.0.2.1")
    }

    pub(crate) fn attempt_from(&self, address: &str) -> Attempt {
        self.gate.begin(
            "/test",
            Method::Post,
            address.parse::<IpAddr>().unwrap(),
            "test",
        )
    }

    pub(crate) async fn present(
        &self,
        presented: Presented,
        action: Action,
    ) -> Result<Caller, Refusal> {
        self.identity
            .authenticate(
                RequestContext::new(&self.gate, &self.attempt()),
                presented,
                action,
            )
            .await
    }

    pub(crate) async fn present_token(&self, text: &str) -> Result<Caller, Refusal> {
        self.present(
            Presented::Token(Secret::new(text.to_owned())),
            Action::FileUpload,
        )
        .await
    }

    pub(crate) async fn present_password(
        &self,
        user: &str,
        password: &str,
        action: Action,
    ) -> Result<Caller, Refusal> {
        self.present(
            Presented::Basic {
                user: user.to_owned(),
                password: Secret::new(password.to_owned()),
            },
            action,
        )
        .await
    }

    /// Proves a person by a call from the command line with this secret.
    pub(crate) async fn prove_from(
        &self,
        attempt: &Attempt,
        (user_name, password, totp_code): (&str, &str, Option<&str>),
        device: Option<&str>,
    ) -> Result<(Caller, Option<UnspentCode>), NotProven> {
        let password = Secret::new(password.to_owned());
        let proof = PersonalProof {
            user_name,
            password: &password,
            totp_code,
            device,
            host: Some("laptop"),
        };
        self.identity
            .proofs()
            .prove_person(
                RequestContext::new(&self.gate, attempt),
                Action::ReleasePublish,
                proof,
            )
            .await
    }

    /// The same from the user's own command line, which is confirmed if requested: that does not
    /// use up the code.
    pub(crate) async fn prove_unspent(
        &self,
        attempt: &Attempt,
        sent: (&str, &str, Option<&str>),
    ) -> Result<(Caller, Option<UnspentCode>), Refusal> {
        let known = self.command_lines.lock().unwrap().get(sent.0).cloned();
        let text =
            |device: &Option<Secret<String>>| device.as_ref().map(|device| device.expose().clone());
        match self
            .prove_from(attempt, sent, text(&known).as_deref())
            .await
        {
            Ok(proven) => Ok(proven),
            Err(NotProven {
                device: Some(device),
                ..
            }) => {
                let user = self
                    .storage
                    .user_by_name(&user_name(sent.0))
                    .await
                    .unwrap()
                    .unwrap()
                    .id;
                let hash = Sha256::digest(
                    data_encoding::BASE64URL_NOPAD
                        .decode(device.expose().as_bytes())
                        .unwrap(),
                )
                .into();
                let mut unit = self.storage.begin().await.unwrap();
                assert!(
                    unit.confirm_device(user, &hash, self.clock.now())
                        .await
                        .unwrap()
                );
                let event = AuditEvent::of_server(
                    self.clock.now(),
                    Detail::read(EventKind::DeviceConfirmed, &serde_json::json!({})),
                )
                .about(Some(user));
                unit.commit(&event).await.unwrap();
                self.command_lines
                    .lock()
                    .unwrap()
                    .insert(sent.0.to_owned(), device.clone());
                Ok(self
                    .prove_from(attempt, sent, Some(device.expose()))
                    .await
                    .map_err(|not_proven| not_proven.refusal)?)
            }
            Err(NotProven {
                refusal,
                device: None,
            }) => Err(refusal),
        }
    }

    /// Proves a person and spends the code, like a permitted action.
    pub(crate) async fn prove(
        &self,
        user: &str,
        password: &str,
        code: Option<&str>,
    ) -> Result<Caller, Refusal> {
        let attempt = self.attempt();
        let (caller, code) = self.prove_unspent(&attempt, (user, password, code)).await?;
        if let Some(code) = code {
            self.identity
                .proofs()
                .spend_code(
                    RequestContext::new(&self.gate, &attempt),
                    Action::ReleasePublish,
                    &code,
                )
                .await?;
        }
        Ok(caller)
    }

    /// The code of the step this many steps after the current one.
    pub(crate) fn code(&self, secret: &Secret<String>, steps: i64) -> String {
        code_at(secret, self.clock.now().seconds() + 30 * steps)
    }

    /// Six digits that are not a code of the steps around the current one.
    pub(crate) fn wrong_code(&self, secret: &Secret<String>) -> String {
        let near: Vec<String> = (-3..=3).map(|steps| self.code(secret, steps)).collect();
        (0..=9)
            .map(|digit| digit.to_string().repeat(6))
            .find(|code| !near.contains(code))
            .expect("seven steps have at most seven codes")
    }

    /// Logs in by password, in a browser with this device cookie.
    pub(crate) async fn log_in(
        &self,
        name: &str,
        password: &str,
        device: Option<&str>,
    ) -> Result<LoginStep, Refusal> {
        self.identity
            .logins()
            .with_password(
                RequestContext::new(&self.gate, &self.attempt()),
                name,
                Secret::new(password.to_owned()),
                device,
            )
            .await
    }

    /// The session of a user without a second factor.
    pub(crate) async fn logged_in(&self, name: &str) -> StartedSession {
        started(self.log_in(name, PASSWORD, None).await.unwrap())
    }

    /// The caller of a request with this session cookie.
    pub(crate) async fn present_session(&self, secret: &Secret<String>) -> Caller {
        self.present(
            Presented::None.with_session_cookie(Some(secret.expose())),
            Action::AccountRead,
        )
        .await
        .unwrap()
    }

    /// Every event, oldest first.
    pub(crate) async fn events(&self) -> Vec<Recorded> {
        // Includes events that no request waits for.
        self.gate.recorder().flush().await;
        let rows = self
            .storage
            .events(&AuditFilter::default(), None, 1000)
            .await
            .unwrap();
        rows.into_iter().rev().map(Recorded::from).collect()
    }

    /// Why the last authentication failed, according to the audit log.
    pub(crate) async fn last_failure(&self) -> String {
        let events = self.events().await;
        let event = events
            .iter()
            .rev()
            .find(|event| event.kind == EventKind::AuthenticationFailed)
            .expect("an authentication failed");
        event.detail["reason"].as_str().unwrap().to_owned()
    }
}

/// An event as it is stored in the database.
#[derive(Debug, PartialEq)]
pub(crate) struct Recorded {
    pub(crate) kind: EventKind,
    pub(crate) actor: Actor,
    pub(crate) user: Option<UserId>,
    pub(crate) decision: Option<DecisionId>,
    pub(crate) detail: serde_json::Value,
}

impl From<AuditRow> for Recorded {
    fn from(row: AuditRow) -> Self {
        Self {
            kind: row.event.kind(),
            actor: row.event.actor,
            user: row.event.user,
            decision: row.event.decision,
            detail: row.stored,
        }
    }
}

pub(crate) fn started(step: LoginStep) -> StartedSession {
    match step {
        LoginStep::Started(session) => session,
        other => panic!("not logged in: {other:?}"),
    }
}

pub(crate) fn pending(step: LoginStep) -> Secret<String> {
    match step {
        LoginStep::SecondFactor { pending } => pending,
        other => panic!("no second step: {other:?}"),
    }
}

pub(crate) fn code_at(secret: &Secret<String>, seconds: i64) -> String {
    let bytes = data_encoding::BASE32_NOPAD
        .decode(secret.expose().as_bytes())
        .unwrap();
    let totp = totp_rs::Builder::new()
        .with_secret(bytes)
        .with_account_name("-")
        .build()
        .unwrap();
    totp.generate(seconds as u64).to_string()
}

pub(crate) fn user_name(text: &str) -> UserName {
    UserName::parse(text).unwrap()
}
