//! A registry with the default policies, and browsers without scripts that use it.

use std::sync::Arc;

use axum::body::Body;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, HOST, LOCATION, ORIGIN, SET_COOKIE};
use axum::http::{HeaderMap, Request, StatusCode};
use blobs::Blobs;
use gate::{Permit, Target, break_glass};
use hmac::{Hmac, KeyInit, Mac};
use http_body_util::BodyExt;
use identity::{
    Account, CreateUser, Identity, IdentityConfig, NewTokenScope, PasswordHashing, Secret,
    SetPassword,
};
use model::mail::{MailField, MailKind};
use model::time::ManualClock;
use model::{Clock, UserId, UserName};
use portcullis_http::{App, AppConfig};
use registry::{Registry, RegistryConfig};
use sha1::Sha1;
use storage::Storage;
use storage::outbox::OutboxRow;
use testkit::{GateBuilder, NOW};
use tower::ServiceExt;

pub(crate) const URL: &str = "https://index.example";
pub(crate) const PASSWORD: &str = "quiet otters rearrange teapots";

pub(crate) struct Site {
    router: axum::Router,
    pub(crate) identity: Identity,
    pub(crate) storage: Storage,
    pub(crate) clock: Arc<ManualClock>,
    _folder: tempfile::TempDir,
}

impl Site {
    pub(crate) async fn new() -> Self {
        Self::with_set("default").await
    }

    /// With one of the shipped sets.
    pub(crate) async fn with_set(set: &str) -> Self {
        let (storage, folder) = testkit::database().await;
        let clock = Arc::new(ManualClock::at(NOW));
        let sets = tempfile::tempdir().unwrap();
        let gate = GateBuilder::on(&storage)
            .clock(clock.clone())
            .engine(testkit::small_engine())
            .recording(1000)
            .with(testkit::written(sets.path(), &testkit::text_of(set)))
            .await;
        let password_hashing = PasswordHashing {
            memory_kib: 8,
            iterations: 1,
            lanes: 1,
            at_once: 4,
            waiting: 64,
            waiting_of_one: 16,
        };
        let config = IdentityConfig {
            password_hashing,
            ..IdentityConfig::for_host("index.example")
        };
        let identity = Identity::new(storage.clone(), clock.clone(), config).unwrap();
        let registry = Registry::new(
            storage.clone(),
            Blobs::open(&folder.path().join("blobs")).unwrap(),
            clock.clone(),
            RegistryConfig::new(URL),
        );
        let app = App::new(
            AppConfig::new(URL).unwrap(),
            gate,
            identity.clone(),
            registry,
        );
        Self {
            router: app.router(),
            identity,
            storage,
            clock,
            _folder: folder,
        }
    }

    pub(crate) fn browser(&self) -> Browser<'_> {
        Browser {
            site: self,
            cookies: Vec::new(),
        }
    }

    pub(crate) async fn permit<T: Target>(&self, target: T) -> Permit<T> {
        break_glass(&self.storage, &*self.clock, "operator", target)
            .await
            .unwrap()
    }

    /// A user with [`PASSWORD`] and a verified address.
    pub(crate) async fn user(&self, name: &str) -> UserId {
        self.user_who(name, false).await
    }

    pub(crate) async fn user_who(&self, name: &str, staff: bool) -> UserId {
        let name = UserName::parse(name).unwrap();
        let email = Some(format!("{name}@example.org"));
        let user = self
            .identity
            .accounts()
            .create(
                self.permit(CreateUser {
                    name,
                    email,
                    email_verified: true,
                    staff,
                })
                .await,
            )
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

    /// The user with this name.
    pub(crate) async fn identity_of(&self, name: &str) -> UserId {
        self.storage
            .user_by_name(&UserName::parse(name).unwrap())
            .await
            .unwrap()
            .unwrap()
            .id
    }

    /// A token of a user for everything tokens may do.
    pub(crate) async fn token(&self, user: &str) -> String {
        let account = Account::at_the_server(self.identity_of(user).await);
        let tokens = self.identity.tokens();
        let target = tokens
            .to_create(account, "laptop", NewTokenScope::Account, None, None)
            .await
            .unwrap();
        let created = tokens.create(self.permit(target).await).await.unwrap();
        created.text.expose().clone()
    }

    /// The mails written since the last call, oldest first.
    pub(crate) async fn mails(&self) -> Vec<OutboxRow> {
        let now = self.clock.now();
        self.storage
            .lease_mails(now, now.plus_ms(1000 * 24 * 3600 * 1000), 1000)
            .await
            .unwrap()
    }

    /// Path and query of the link in the newest mail of a kind.
    pub(crate) async fn mailed_link(&self, kind: MailKind) -> String {
        let mails = self.mails().await;
        let mail = mails
            .iter()
            .rev()
            .find(|row| row.mail.kind == kind)
            .unwrap_or_else(|| panic!("no {kind} was mailed"));
        mail.mail
            .field(MailField::Link)
            .strip_prefix(URL)
            .expect("a link to this registry")
            .to_owned()
    }

    /// The code of an app with this secret, now.
    pub(crate) fn code(&self, secret: &str) -> String {
        code_at(secret, self.clock.now().seconds())
    }
}

/// A TOTP code (RFC 6238: SHA-1, six digits, 30 seconds), computed independently of the code that
/// checks it.
fn code_at(secret: &str, seconds: i64) -> String {
    let (mut bits, mut held, mut key) = (0u32, 0, Vec::new());
    for character in secret.bytes().filter(|byte| byte.is_ascii_alphanumeric()) {
        let digit = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
            .iter()
            .position(|known| *known == character)
            .unwrap();
        (bits, held) = (bits << 5 | digit as u32, held + 5);
        if held >= 8 {
            held -= 8;
            key.push((bits >> held) as u8);
        }
    }
    let mut mac = Hmac::<Sha1>::new_from_slice(&key).unwrap();
    mac.update(&(seconds / 30).to_be_bytes());
    let digest = mac.finalize().into_bytes();
    let start = (digest[19] & 15) as usize;
    let number = u32::from_be_bytes(digest[start..start + 4].try_into().unwrap()) & 0x7fff_ffff;
    format!("{:06}", number % 1_000_000)
}

/// Somebody's browser: stores cookies, follows no redirects by itself, runs no scripts.
pub(crate) struct Browser<'a> {
    pub(crate) site: &'a Site,
    pub(crate) cookies: Vec<(String, String)>,
}

/// An answer to a browser.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Method, path and query.
    pub(crate) asked: String,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Browser<'_> {
    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.send(Request::get(path), Body::empty()).await
    }

    pub(crate) async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.post_from(URL, "same-origin", path, fields).await
    }

    /// Sends a form that a page of this origin made.
    pub(crate) async fn post_from(
        &mut self,
        origin: &str,
        site: &str,
        path: &str,
        fields: &[(&str, &str)],
    ) -> Answer {
        let body = fields
            .iter()
            .map(|(name, value)| format!("{}={}", quoted(name), quoted(value)))
            .collect::<Vec<_>>()
            .join("&");
        let request = Request::post(path)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(ORIGIN, origin)
            .header("sec-fetch-site", site);
        self.send(request, Body::from(body)).await
    }

    /// Sends the form, then gets the page that it leads to.
    pub(crate) async fn post_and_follow(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let answer = self.post(path, fields).await;
        assert_eq!(
            answer.status,
            StatusCode::SEE_OTHER,
            "{path}: {}",
            answer.body
        );
        let location = answer.location().to_owned();
        self.get(&location).await
    }

    /// Sends the request of a program that has a token and no browser.
    pub(crate) async fn with_token(&mut self, token: &str, method: &str, path: &str) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(AUTHORIZATION, format!("Bearer {token}"));
        self.send(request, Body::empty()).await
    }

    pub(crate) async fn send(
        &mut self,
        mut request: axum::http::request::Builder,
        body: Body,
    ) -> Answer {
        let said = request.headers_ref().unwrap();
        let (has_host, has_accept) = (said.contains_key(HOST), said.contains_key("accept"));
        if !has_host {
            request = request.header(HOST, "index.example");
        }
        if !has_accept {
            request = request.header("accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8");
        }
        if !self.cookies.is_empty() {
            let cookies = self
                .cookies
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect::<Vec<_>>()
                .join("; ");
            request = request.header(COOKIE, cookies);
        }
        let request = request.body(body).unwrap();
        let asked = format!("{} {}", request.method(), request.uri());
        let response = self.site.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        for cookie in parts.headers.get_all(SET_COOKIE) {
            let (pair, attributes) = cookie.to_str().unwrap().split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            assert!(
                name.starts_with("__Host-")
                    && attributes.contains("HttpOnly")
                    && attributes.contains("Secure")
                    && attributes.contains("SameSite")
            );
            self.cookies.retain(|(known, _)| known != name);
            if !value.is_empty() {
                self.cookies.push((name.to_owned(), value.to_owned()));
            }
        }
        let body = body.collect().await.unwrap().to_bytes();
        Answer {
            asked,
            status: parts.status,
            headers: parts.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    }

    /// Logs in with the password alone.
    pub(crate) async fn log_in(&mut self, user: &str) -> Answer {
        self.post_and_follow(
            "/login",
            &[
                ("user", user),
                ("password", PASSWORD),
                ("next", "/account/"),
            ],
        )
        .await
    }

    /// Confirms the second factor again, with an app.
    pub(crate) async fn step_up(&mut self, secret: &str) {
        let code = self.site.code(secret);
        let fields = [
            ("step-up-to", "/account/"),
            ("step-up-method", "get"),
            ("step-up-need", "factor"),
            ("step-up-proof", "totp"),
            ("step-up-code", &code),
        ];
        let page = self.post_and_follow("/account/step-up", &fields).await;
        assert_eq!(page.title(), "Your account · index.example");
    }

    pub(crate) fn is_logged_in(&self) -> bool {
        self.cookies
            .iter()
            .any(|(name, _)| name == "__Host-portcullis-session")
    }

    /// Gets recovery codes and confirms them with the first one.
    pub(crate) async fn keep_recovery_codes(&mut self) -> Vec<String> {
        let codes = self
            .post("/account/factors/recovery-codes", &[])
            .await
            .recovery_codes();
        let page = self
            .post_and_follow(
                "/account/factors/recovery-codes/confirm",
                &[("code", &codes[0])],
            )
            .await;
        assert!(page.body.contains("7 of 8 are unused"), "{}", page.body);
        codes
    }

    /// Sets up an app and returns its secret.
    pub(crate) async fn set_up_app(&mut self) -> String {
        let page = self.get("/account/factors/totp").await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.body);
        let secret: String = page
            .between("<code class=\"secret\">", "</code>")
            .replace(' ', "");
        let code = self.site.code(&secret);
        let page = self
            .post_and_follow(
                "/account/factors/totp",
                &[("ceremony", &page.field("ceremony")), ("code", &code)],
            )
            .await;
        assert!(
            page.body.contains("The second factor is added."),
            "{}",
            page.body
        );
        secret
    }
}

impl Answer {
    /// Path and query that it leads to.
    pub(crate) fn location(&self) -> &str {
        self.headers
            .get(LOCATION)
            .expect("a redirect")
            .to_str()
            .unwrap()
            .strip_prefix(URL)
            .expect("a redirect within the registry")
    }

    pub(crate) fn between(&self, start: &str, end: &str) -> String {
        let rest = self
            .body
            .split_once(start)
            .unwrap_or_else(|| panic!("no `{start}` in {}", self.body))
            .1;
        rest.split_once(end).unwrap().0.to_owned()
    }

    pub(crate) fn title(&self) -> String {
        self.between("<title>", "</title>")
    }

    /// The value of a hidden field.
    pub(crate) fn field(&self, name: &str) -> String {
        self.between(&format!("name=\"{name}\" value=\""), "\"")
    }

    pub(crate) fn recovery_codes(&self) -> Vec<String> {
        assert_eq!(self.status, StatusCode::OK, "{}", self.body);
        let text = self.between("<pre class=\"codes\"", "</pre>");
        text.lines()
            .skip(2)
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .map(str::to_owned)
            .collect()
    }
}

fn quoted(text: &str) -> String {
    text.bytes()
        .map(|byte| {
            if byte.is_ascii_alphanumeric() {
                (byte as char).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}
