use std::sync::Arc;
use std::time::Duration;

use gate::RefusalKind;
use identity::{
    BreachConfig, BreachOutcome, Identity, PasswordProblem, RegisterForm, RegisterProblem,
    RequestContext, Secret, Unreachable,
};
use model::audit::EventKind;
use model::{Assurance, Caller, CredentialKind, PasswordState, Principal};
use tokio::net::TcpSocket;
use tokio::sync::Semaphore;

use crate::fixture::{Fixture, PASSWORD};
use crate::mails::{Reply, Service, link_in};

/// `sha1("P@ssw0rd")`, the example in the protocol's own documentation, split as in a request.
const BREACHED: &str = "P@ssw0rd";
const PREFIX: &str = "21BD1";
const SUFFIX: &str = "2DC183F740EE76F27B78EB39C8AD972A757";
/// Not a suffix of any password used here.
const OTHER: &str = "0018A45C4D1DEF81644B54AB7F969B88D65";

const REFUSE: &str = r#"
[[binding]]
policy = "refuse-breached-passwords"
module = "refuse-breached-passwords.wasm"
"#;

fn secret(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

async fn asking(
    service: &Service,
    bindings: &str,
    change: impl FnOnce(&mut BreachConfig),
) -> Fixture {
    let mut breaches = BreachConfig {
        base_url: Some(service.url.clone()),
        ..BreachConfig::default()
    };
    change(&mut breaches);
    Fixture::configured(bindings, |config| config.breaches = breaches).await
}

async fn outcome(identity: &Identity, password: &str) -> BreachOutcome {
    identity.passwords().breach_state(&secret(password)).await
}

#[tokio::test]
async fn five_characters_leave_and_padding_is_asked_for() {
    let service = Service::start(Reply::Body(format!("{OTHER}:3\r\n{SUFFIX}:52579\r\n"))).await;
    let fixture = asking(&service, "", |_| ()).await;
    assert_eq!(
        outcome(&fixture.identity, BREACHED).await,
        BreachOutcome::Breached
    );
    let [request] = &service.asked()[..] else {
        panic!("{:?}", service.asked())
    };
    let (line, headers) = request.split_once("\r\n").unwrap();
    assert_eq!(line, format!("GET /range/{PREFIX} HTTP/1.1"));
    let mut headers: Vec<&str> = headers.trim_end().split("\r\n").collect();
    headers.sort_unstable();
    let host = format!("host: {}", service.url.strip_prefix("http://").unwrap());
    assert_eq!(
        headers,
        [
            "accept: */*",
            "add-padding: true",
            &host,
            concat!("user-agent: portcullis/", env!("CARGO_PKG_VERSION"))
        ]
    );
    assert!(!request.to_ascii_uppercase().contains(&SUFFIX[..5]));
}

#[tokio::test]
async fn what_is_not_listed_or_listed_as_padding_is_clean() {
    let service = Service::start(Reply::Body(format!("{OTHER}:3\r\n"))).await;
    let fixture = asking(&service, "", |_| ()).await;
    assert_eq!(
        outcome(&fixture.identity, BREACHED).await,
        BreachOutcome::Clean
    );
    let padded = Service::start(Reply::Body(format!("{OTHER}:3\r\n{SUFFIX}:0\r\n"))).await;
    let fixture = asking(&padded, "", |_| ()).await;
    assert_eq!(
        outcome(&fixture.identity, BREACHED).await,
        BreachOutcome::Clean
    );
}

#[tokio::test]
async fn an_answer_is_kept_for_its_prefix() {
    let service = Service::start(Reply::Body(format!("{SUFFIX}:1"))).await;
    let fixture = asking(&service, "", |_| ()).await;
    for _ in 0..3 {
        assert_eq!(
            outcome(&fixture.identity, BREACHED).await,
            BreachOutcome::Breached
        );
    }
    assert_eq!(service.asked().len(), 1);
    assert_eq!(
        outcome(&fixture.identity, PASSWORD).await,
        BreachOutcome::Clean
    );
    assert_eq!(service.asked().len(), 2, "another prefix");
}

#[tokio::test]
async fn an_answer_that_is_too_old_is_asked_for_again() {
    let service = Service::start(Reply::Body(format!("{SUFFIX}:1"))).await;
    let fixture = asking(&service, "", |config| config.keep = Duration::from_nanos(1)).await;
    for _ in 0..2 {
        assert_eq!(
            outcome(&fixture.identity, BREACHED).await,
            BreachOutcome::Breached
        );
    }
    assert_eq!(service.asked().len(), 2);
}

#[tokio::test]
async fn however_many_wait_for_one_prefix_one_request_is_made() {
    let until = Arc::new(Semaphore::new(0));
    let service = Service::start(Reply::Late(Arc::clone(&until), format!("{SUFFIX}:1"))).await;
    let fixture = asking(&service, "", |config| {
        config.timeout = Duration::from_secs(60)
    })
    .await;
    let waiting: Vec<_> = (0..20)
        .map(|_| {
            let identity = fixture.identity.clone();
            tokio::spawn(async move { outcome(&identity, BREACHED).await })
        })
        .collect();
    until.add_permits(1);
    for one in waiting {
        assert_eq!(one.await.unwrap(), BreachOutcome::Breached);
    }
    assert_eq!(service.asked().len(), 1);
}

#[tokio::test]
async fn what_is_no_answer_of_the_protocol_is_none() {
    let html = "<html>Log in to the guest network</html>".to_owned();
    let half = b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\nconnection: close\r\n\r\n".to_vec();
    let status = |line: &str| {
        Reply::Raw(
            format!("HTTP/1.1 {line}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                .into_bytes(),
        )
    };
    let endless = [
        b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n".to_vec(),
        format!("{OTHER}:1\r\n").repeat(20_000).into_bytes(),
    ]
    .concat();
    for (what, reply) in [
        ("a page of its own", Reply::Body(html)),
        (
            "a row and garbage",
            Reply::Body(format!("{OTHER}:1\r\ngarbage")),
        ),
        ("half an answer", Reply::Raw(half)),
        ("an answer without an end", Reply::Raw(endless)),
        ("no HTTP", Reply::Raw(b"SSH-2.0-OpenSSH\r\n\r\n".to_vec())),
        ("an error", status("503 Service Unavailable")),
        ("too many requests", status("429 Too Many Requests")),
        ("not found", status("404 Not Found")),
    ] {
        let service = Service::start(reply).await;
        let fixture = asking(&service, "", |_| ()).await;
        assert_eq!(
            outcome(&fixture.identity, BREACHED).await,
            BreachOutcome::Unavailable,
            "{what}"
        );
        // A failure is not cached.
        service.answers(Reply::Body(format!("{SUFFIX}:1")));
        assert_eq!(
            outcome(&fixture.identity, BREACHED).await,
            BreachOutcome::Breached,
            "{what}"
        );
    }
}

#[tokio::test]
async fn nobody_is_sent_on_to_another_service() {
    let other = Service::start(Reply::Body(format!("{SUFFIX}:1"))).await;
    let moved = format!(
        "HTTP/1.1 302 Found\r\nlocation: {}/range/{PREFIX}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        other.url
    );
    let service = Service::start(Reply::Raw(moved.into_bytes())).await;
    let fixture = asking(&service, "", |_| ()).await;
    assert_eq!(
        outcome(&fixture.identity, BREACHED).await,
        BreachOutcome::Unavailable
    );
    assert!(other.asked().is_empty());
}

#[tokio::test]
async fn whoever_is_slow_or_gone_is_not_waited_for() {
    let slow = Service::start(Reply::Late(Arc::new(Semaphore::new(0)), String::new())).await;
    let fixture = asking(&slow, "", |config| {
        config.timeout = Duration::from_millis(50)
    })
    .await;
    assert_eq!(
        outcome(&fixture.identity, BREACHED).await,
        BreachOutcome::Unavailable
    );
    let (_socket, address) = unused_address();
    let gone = Fixture::configured("", |config| config.breaches.base_url = Some(address)).await;
    assert_eq!(
        outcome(&gone.identity, BREACHED).await,
        BreachOutcome::Unavailable
    );
}

/// An address where nothing listens, and the socket that reserves it.
fn unused_address() -> (TcpSocket, String) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = format!("http://{}", socket.local_addr().unwrap());
    (socket, address)
}

#[tokio::test]
async fn without_a_service_nobody_is_asked() {
    let fixture = Fixture::new().await;
    assert_eq!(
        outcome(&fixture.identity, BREACHED).await,
        BreachOutcome::Off
    );
}

#[tokio::test]
async fn an_address_that_is_none_is_refused_at_the_start() {
    let fixture = Fixture::new().await;
    for (address, is_fine) in [
        ("https://api.pwnedpasswords.com", true),
        ("http://localhost:8081/mirror/", true),
        ("api.pwnedpasswords.com", false),
        ("ftp://example.org", false),
        ("https://user:password@example.org", false),
        ("https://example.org/?token=1", false),
        ("https://", false),
    ] {
        let mut config = identity::IdentityConfig::for_host("pypi.example.org");
        config.breaches.base_url = Some(address.to_owned());
        let made = Identity::new(fixture.storage.clone(), fixture.clock.clone(), config);
        assert_eq!(made.is_ok(), is_fine, "{address}");
    }
}

/// Changes the password of a user who is logged in to this one.
async fn change_to(fixture: &Fixture, user: &str, new: &str) -> Result<(), PasswordProblem> {
    let row = fixture
        .storage
        .user_by_name(&crate::fixture::user_name(user))
        .await
        .unwrap()
        .unwrap();
    let caller = Caller {
        credential: CredentialKind::Session,
        principal: Principal::User(row.facts()),
        token: None,
        session: Some(fixture.session(row.id).await),
        assurance: Assurance::NONE,
    };
    fixture
        .identity
        .passwords()
        .change(
            RequestContext::new(&fixture.gate, &fixture.attempt()),
            &caller,
            secret(PASSWORD),
            secret(new),
            None,
        )
        .await
        .map(drop)
}

async fn reset_to(fixture: &Fixture, user: &str, new: &str) -> Result<(), PasswordProblem> {
    fixture
        .identity
        .passwords()
        .request_reset(RequestContext::new(&fixture.gate, &fixture.attempt()), user)
        .await
        .unwrap();
    let link = link_in(&fixture.mail().await, "/password/reset");
    fixture
        .identity
        .passwords()
        .reset(
            RequestContext::new(&fixture.gate, &fixture.attempt()),
            &link,
            secret(new),
        )
        .await
        .map(drop)
}

async fn register_with(fixture: &Fixture, password: &str) -> Result<(), RegisterProblem> {
    let form = RegisterForm {
        user_name: "carl".to_owned(),
        email: "carl@example.org".to_owned(),
        password: secret(password),
    };
    fixture
        .identity
        .registrations()
        .register(RequestContext::new(&fixture.gate, &fixture.attempt()), form)
        .await
}

/// Hard to guess, so that only the breach policy refuses it.
const LEAKED: &str = "kwisatz-haderach-7";

#[tokio::test]
async fn what_a_breached_new_password_comes_to_is_up_to_the_policies() {
    let leaked = leaked_row();
    let service = Service::start(Reply::Body(leaked)).await;
    let strict = asking(&service, REFUSE, |_| ()).await;
    strict.user("ana").await;
    let refused =
        |problem: &dyn std::fmt::Display| problem.to_string().contains("known from a breach");
    assert!(
        matches!(change_to(&strict, "ana", LEAKED).await, Err(PasswordProblem::Refused(refusal)) if refused(&refusal))
    );
    assert!(
        matches!(reset_to(&strict, "ana", LEAKED).await, Err(PasswordProblem::Refused(refusal)) if refused(&refusal))
    );
    assert!(
        matches!(register_with(&strict, LEAKED).await, Err(RegisterProblem::Refused(refusal)) if refused(&refusal))
    );
    assert!(
        strict.prove("ana", PASSWORD, None).await.is_ok(),
        "nothing changed, and the password is not disabled"
    );
    assert!(strict.mails().await.is_empty());

    let lax = asking(&service, "", |_| ()).await;
    lax.user("ana").await;
    lax.user("ben").await;
    change_to(&lax, "ana", LEAKED).await.unwrap();
    lax.mails().await;
    reset_to(&lax, "ben", LEAKED).await.unwrap();
    register_with(&lax, LEAKED).await.unwrap();
}

fn leaked_row() -> String {
    use sha1::{Digest, Sha1};
    let hash = data_encoding::HEXUPPER.encode(&Sha1::digest(LEAKED.as_bytes()));
    format!("{}:7", &hash[5..])
}

#[tokio::test]
async fn while_nobody_answers_operators_choose_who_waits() {
    for (unreachable, is_let_in) in [(Unreachable::Allow, true), (Unreachable::Refuse, false)] {
        let (_socket, address) = unused_address();
        let fixture = Fixture::configured(REFUSE, |config| {
            config.breaches = BreachConfig {
                base_url: Some(address),
                unreachable,
                ..BreachConfig::default()
            };
        })
        .await;
        let ana = fixture.user("ana").await;
        let changed = change_to(&fixture, "ana", LEAKED).await;
        let unavailable = fixture
            .events()
            .await
            .into_iter()
            .filter(|event| event.kind == EventKind::BreachCheckUnavailable);
        assert_eq!(
            unavailable.map(|event| event.user).collect::<Vec<_>>(),
            [Some(ana)]
        );
        match changed {
            Ok(()) => assert!(is_let_in),
            Err(PasswordProblem::Refused(refusal)) => {
                assert!(!is_let_in);
                assert_eq!(
                    (refusal.kind, refusal.reasons[0].code.as_str()),
                    (RefusalKind::Failed, "password-not-checked")
                );
            }
            Err(problem) => panic!("{problem}"),
        }
        assert_eq!(register_with(&fixture, LEAKED).await.is_ok(), is_let_in);
        let unavailable = fixture
            .events()
            .await
            .into_iter()
            .filter(|event| event.kind == EventKind::BreachCheckUnavailable);
        assert_eq!(
            unavailable.map(|event| event.user).collect::<Vec<_>>(),
            [Some(ana), None],
            "strangers who register are on record too"
        );
    }
}

#[tokio::test]
async fn an_outcome_is_what_a_decision_knows_of_it() {
    for (outcome, state) in [
        (BreachOutcome::Clean, PasswordState::Clean),
        (BreachOutcome::Breached, PasswordState::Breached),
        (BreachOutcome::Unavailable, PasswordState::Unchecked),
        (BreachOutcome::Off, PasswordState::Unchecked),
    ] {
        assert_eq!(outcome.state(), state);
    }
}
