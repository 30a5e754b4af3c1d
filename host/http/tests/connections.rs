//! The whole of HTTP over real connections, with a gate that has no policy set: every decision is
//! answered with 503 or refused by the core, and nothing else works.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use blobs::Blobs;
use gate::{Permit, Target, break_glass};
use identity::{Account, CreateUser, Identity, IdentityConfig, NewTokenScope, RevokeToken};
use model::{Clock, SystemClock, TokenId, UserId, UserName};
use portcullis_http::{App, AppConfig, Credentials, Route, routes};
use registry::{Registry, RegistryConfig};
use storage::Storage;
use testkit::GateBuilder;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A server on its own port, with everything it stores in its own folder.
struct Server {
    address: SocketAddr,
    stop: CancellationToken,
    serving: JoinHandle<()>,
    storage: Storage,
    identity: Identity,
    _folder: tempfile::TempDir,
}

async fn start(configure: impl FnOnce(&mut AppConfig)) -> Server {
    let (storage, folder) = testkit::database().await;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let gate = GateBuilder::on(&storage)
        .clock(clock.clone())
        .engine(testkit::small_engine())
        .recording(10)
        .without_policies();
    let identity = Identity::new(
        storage.clone(),
        clock.clone(),
        IdentityConfig::for_host("index.example"),
    )
    .unwrap();
    let registry = Registry::new(
        storage.clone(),
        Blobs::open(&folder.path().join("blobs")).unwrap(),
        clock,
        RegistryConfig::new("http://index.example"),
    );
    let mut config = AppConfig::new("http://index.example").unwrap();
    configure(&mut config);
    let app = App::new(config, gate, identity.clone(), registry);

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let serving = tokio::spawn(portcullis_http::serve(listener, app, stop.clone()));
    Server {
        address,
        stop,
        serving,
        storage,
        identity,
        _folder: folder,
    }
}

/// A connection that is read answer by answer.
struct Connection(TcpStream);

/// One answer: status line and headers as text, and the body.
#[derive(Debug)]
struct Answer {
    head: String,
    body: String,
}

impl Answer {
    fn status(&self) -> u16 {
        self.head[9..12].parse().unwrap()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(": "))
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }
}

impl Server {
    async fn connect(&self) -> Connection {
        Connection(TcpStream::connect(self.address).await.unwrap())
    }

    async fn ask(&self, request: &str) -> Answer {
        let mut connection = self.connect().await;
        connection.0.write_all(request.as_bytes()).await.unwrap();
        connection.answer(request.starts_with("HEAD")).await
    }

    async fn permit<T: Target>(&self, target: T) -> Permit<T> {
        break_glass(&self.storage, &SystemClock, "operator", target)
            .await
            .unwrap()
    }

    /// A new user and a token for everything the user may do.
    async fn user_with_token(&self, name: &str) -> (UserId, TokenId, String) {
        let name = UserName::parse(name).unwrap();
        let target = CreateUser {
            name: name.clone(),
            email: None,
            email_verified: false,
            staff: false,
        };
        let user = self
            .identity
            .accounts()
            .create(self.permit(target).await)
            .await
            .unwrap();
        let (token, text) = self.token_of(&name, "test").await;
        (user, token, text)
    }

    async fn token_of(&self, name: &UserName, description: &str) -> (TokenId, String) {
        let user = self.storage.user_by_name(name).await.unwrap().unwrap();
        let account = Account::at_the_server(user.id);
        let target = self
            .identity
            .tokens()
            .to_create(account, description, NewTokenScope::Account, None, None)
            .await
            .unwrap();
        let created = self
            .identity
            .tokens()
            .create(self.permit(target).await)
            .await
            .unwrap();
        (created.id, created.text.expose().clone())
    }

    async fn stop(self) {
        self.stop.cancel();
        self.serving.await.unwrap();
    }
}

impl Connection {
    async fn answer(&mut self, without_body: bool) -> Answer {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.0.read_u8().await.expect("an answer"));
        }
        let mut answer = Answer {
            head: head.iter().map(|&byte| byte as char).collect(),
            body: String::new(),
        };
        let length: usize = answer
            .header("content-length")
            .map_or(0, |length| length.parse().unwrap());
        if !without_body {
            let mut body = vec![0; length];
            self.0.read_exact(&mut body).await.unwrap();
            answer.body = String::from_utf8(body).unwrap();
        }
        answer
    }

    async fn is_closed(&mut self) -> bool {
        matches!(self.0.read(&mut [0; 1]).await, Ok(0) | Err(_))
    }
}

fn request_to(route: &Route) -> String {
    let path = route
        .path
        .replace("{project}", "demo")
        .replace("{version}", "1.0")
        .replace("{name}", "demo-1.0.tar.gz");
    let path = path
        .replace("{first}", "aa")
        .replace("{second}", "bb")
        .replace("{rest}", &"cc".repeat(30));
    format!(
        "{} {path} HTTP/1.1\r\nHost: anything\r\nContent-Length: 0\r\n\r\n",
        route.verb.methods()[0]
    )
}

#[tokio::test]
async fn without_a_policy_set_nothing_that_must_be_decided_is_answered() {
    let server = start(|_| ()).await;
    for route in routes() {
        let answer = server.ask(&request_to(route)).await;
        match route.action() {
            Some(action) => {
                assert!(
                    matches!(answer.status(), 503 | 403),
                    "{route:?} {action}: {answer:?}"
                );
                assert_eq!(
                    answer.header("portcullis-policy-set"),
                    Some("0"),
                    "{route:?}"
                );
                assert!(answer.header("portcullis-decision").is_some(), "{route:?}");
                assert_eq!(
                    answer.status() == 503,
                    answer.header("retry-after").is_some(),
                    "{route:?}"
                );
            }
            None => {
                assert!(!matches!(answer.status(), 500..), "{route:?}: {answer:?}");
                assert_eq!(answer.header("portcullis-decision"), None, "{route:?}");
            }
        }
        for name in [
            "content-security-policy",
            "x-content-type-options",
            "referrer-policy",
            "x-frame-options",
        ] {
            assert!(answer.header(name).is_some(), "{route:?} lacks {name}");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn a_refused_upload_is_drained_and_its_connection_goes_on() {
    let server = start(|_| ()).await;
    let mut connection = server.connect().await;
    let body = vec![b'x'; 1 << 20];
    let head = format!(
        "POST /legacy/ HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    for _ in 0..2 {
        // Write everything before reading anything, as Python's clients do.
        connection.0.write_all(head.as_bytes()).await.unwrap();
        connection.0.write_all(&body).await.unwrap();
        let answer = connection.answer(false).await;
        assert_eq!(answer.status(), 403);
        assert!(
            answer.head.starts_with(
                "HTTP/1.1 403 Invalid or non-existent authentication information. Use an API token:"
            ),
            "{}",
            answer.head
        );
        let decision = answer.header("portcullis-decision").unwrap();
        let end = format!("See http://index.example/help/#tokens (decision {decision})");
        assert!(
            answer.head.lines().next().unwrap().ends_with(&end),
            "{}",
            answer.head
        );
    }
    server.stop().await;
}

/// Sends `length` bytes like a client that reads nothing meanwhile. Returns how many were taken
/// before the connection ended, including those in the buffers of both sides.
async fn flood(connection: &mut Connection, length: usize) -> usize {
    let chunk = vec![b'x'; 64 << 10];
    let mut taken = 0;
    while taken < length {
        match connection
            .0
            .write(&chunk[..chunk.len().min(length - taken)])
            .await
        {
            Ok(bytes) => taken += bytes,
            Err(_) => break,
        }
    }
    taken
}

#[tokio::test]
async fn a_stranger_cannot_have_a_large_body_read() {
    const SENT: usize = 100 << 20;
    let server = start(|_| ()).await;
    let hosts = ["", "Authorization: Bearer pypi-nonsense\r\n"];
    for (path, status) in [
        ("/legacy/", 403),
        ("/legacy", 308),
        ("/login", 403),
        ("/nowhere", 404),
        ("/api/projects/demo/staged", 413),
    ] {
        for authorization in hosts {
            let mut connection = server.connect().await;
            let head = format!(
                "POST {path} HTTP/1.1\r\nHost: x\r\n{authorization}Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {SENT}\r\n\r\n"
            );
            connection.0.write_all(head.as_bytes()).await.unwrap();
            let taken = flood(&mut connection, SENT).await;
            // A megabyte is read, and a few more are in the buffers of the system.
            assert!(taken < 24 << 20, "{path}: {taken} bytes");
            let answer = connection.answer(false).await;
            assert!(
                answer.status() == status || answer.status() >= 400,
                "{path}: {answer:?}"
            );
            assert_eq!(answer.header("connection"), Some("close"), "{path}");
            assert!(connection.is_closed().await, "{path}");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn a_known_caller_who_is_refused_is_drained_some_more() {
    let server = start(|_| ()).await;
    let (_, _, token) = server.user_with_token("ana").await;
    let mut connection = server.connect().await;
    let refused = |length: usize| {
        head_of_upload(&token, length)
            .replace("multipart/form-data; boundary=b", "application/json")
    };
    for _ in 0..2 {
        connection
            .0
            .write_all(refused(8 << 20).as_bytes())
            .await
            .unwrap();
        connection.0.write_all(&vec![b'x'; 8 << 20]).await.unwrap();
        let answer = connection.answer(false).await;
        assert_eq!(
            (answer.status(), answer.header("connection")),
            (400, None),
            "{answer:?}"
        );
    }
    connection
        .0
        .write_all(refused(200 << 20).as_bytes())
        .await
        .unwrap();
    let taken = flood(&mut connection, 200 << 20).await;
    assert!(taken < 64 << 20, "{taken} bytes");
    assert_eq!(
        connection.answer(false).await.header("connection"),
        Some("close")
    );
    server.stop().await;
}

/// The form of an upload, without its end.
fn begun_upload() -> String {
    let field = |name: &str, value: &str| {
        format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let fields = [
        (":action", "file_upload"),
        ("name", "demo"),
        ("version", "1.0"),
        ("metadata_version", "2.1"),
        ("filetype", "sdist"),
        ("pyversion", "source"),
    ];
    let file = "--b\r\nContent-Disposition: form-data; name=\"content\"; filename=\"demo-1.0.tar.gz\"\r\n\r\nbytes";
    fields.map(|(name, value)| field(name, value)).concat()
        + &field("sha256_digest", &"a".repeat(64))
        + file
}

fn head_of_upload(token: &str, length: usize) -> String {
    format!(
        "POST /legacy/ HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: {length}\r\n\r\n"
    )
}

impl Server {
    /// An upload whose credential was accepted and which has a place: it got `100 Continue`.
    async fn begin_upload(&self, token: &str, length: usize) -> Connection {
        let mut connection = self.connect().await;
        let head =
            head_of_upload(token, length).replace("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n");
        connection.0.write_all(head.as_bytes()).await.unwrap();
        assert_eq!(connection.answer(true).await.status(), 100);
        connection
    }
}

#[tokio::test]
async fn a_token_that_is_revoked_while_the_upload_arrives_is_refused() {
    let server = start(|_| ()).await;
    let (user, token, text) = server.user_with_token("ana").await;
    let upload = begun_upload() + "\r\n--b--\r\n";
    let mut first = server.begin_upload(&text, upload.len()).await;
    let mut second = server.begin_upload(&text, upload.len()).await;
    first.0.write_all(upload.as_bytes()).await.unwrap();
    let answer = first.answer(false).await;
    assert_eq!(
        answer.status(),
        503,
        "it is believed, and no policy decides: {answer:?}"
    );

    server
        .identity
        .tokens()
        .revoke(
            server
                .permit(RevokeToken {
                    account: Account::at_the_server(user),
                    token,
                })
                .await,
        )
        .await
        .unwrap();
    second.0.write_all(upload.as_bytes()).await.unwrap();
    let answer = second.answer(false).await;
    assert!(
        answer
            .head
            .starts_with("HTTP/1.1 403 Invalid or non-existent authentication information."),
        "{answer:?}"
    );
    server.stop().await;
}

/// A thief makes uploads take an hour; the owner revokes the token and uploads again at once.
#[tokio::test]
async fn uploads_of_a_revoked_token_give_back_their_places_before_their_bodies_end() {
    let server = start(|config| config.max_uploads_per_uploader = 2).await;
    let (user, token, stolen) = server.user_with_token("ana").await;
    let (_, own) = server
        .token_of(&UserName::parse("ana").unwrap(), "another")
        .await;
    let mut slow = [
        server.begin_upload(&stolen, 100_000).await,
        server.begin_upload(&stolen, 100_000).await,
    ];
    server
        .identity
        .tokens()
        .revoke(
            server
                .permit(RevokeToken {
                    account: Account::at_the_server(user),
                    token,
                })
                .await,
        )
        .await
        .unwrap();
    let upload = begun_upload() + "\r\n--b--\r\n";
    let mut next = server.begin_upload(&own, upload.len()).await;
    next.0.write_all(upload.as_bytes()).await.unwrap();
    assert_eq!(
        next.answer(false).await.status(),
        503,
        "it has a place, and no policy decides"
    );
    for slow in &mut slow {
        let answer = slow.answer(false).await;
        assert!(
            answer
                .head
                .starts_with("HTTP/1.1 403 Invalid or non-existent authentication information."),
            "{answer:?}"
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn one_user_has_so_many_uploads_under_way_and_no_more() {
    let server = start(|config| {
        config.max_uploads_per_uploader = 1;
        config.upload_wait = Duration::from_millis(50);
    })
    .await;
    let (_, _, ana) = server.user_with_token("ana").await;
    let (_, _, ben) = server.user_with_token("ben").await;
    let slow = server.begin_upload(&ana, 100).await;
    let refused = server.ask(&head_of_upload(&ana, 0)).await;
    assert_eq!(refused.status(), 429);
    assert_eq!(refused.header("retry-after"), Some("30"));
    assert!(
        refused.head.contains("429 Too many of your uploads are under way; at most 1 may be at a time. Wait until one of them is done"),
        "{}",
        refused.head
    );
    assert_ne!(server.ask(&head_of_upload(&ben, 0)).await.status(), 429);
    drop(slow);
    server.stop().await;
}

#[tokio::test]
async fn a_page_of_another_site_can_change_nothing() {
    let server = start(|_| ()).await;
    let (_, _, token) = server.user_with_token("ana").await;
    for route in routes()
        .iter()
        .filter(|route| route.action().is_some() && route.verb == portcullis_http::Verb::Post)
    {
        for said in [
            "Origin: https://evil.example",
            "Origin: null",
            "Sec-Fetch-Site: cross-site",
        ] {
            let request = request_to(route).replace(
                "\r\n\r\n",
                &format!("\r\nAuthorization: Bearer {token}\r\n{said}\r\n\r\n"),
            );
            let answer = server.ask(&request).await;
            let told = [
                "This request was made by a page of another site.",
                "This form was sent by a page of another site,",
            ];
            assert!(
                told.iter()
                    .any(|told| answer.head.starts_with(&format!("HTTP/1.1 403 {told}"))),
                "{route:?} {said}: {answer:?}"
            );
        }
        // Old browsers do not say where a form comes from.
        for form in [
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=b",
            "text/plain",
        ] {
            let request = request_to(route).replace(
                "\r\n\r\n",
                &format!("\r\nAuthorization: Bearer {token}\r\nContent-Type: {form}\r\n\r\n"),
            );
            if route.credentials == Credentials::HeadersOrPerson {
                assert_eq!(server.ask(&request).await.status(), 415, "{route:?} {form}");
            }
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn nothing_that_was_refused_is_stored_and_nothing_about_a_credential_is_shared() {
    let server = start(|_| ()).await;
    for route in routes() {
        for credential in [
            "",
            "Authorization: Bearer pypi-AgE\r\n",
            "Authorization: Basic YTpi\r\n",
        ] {
            let answer = server
                .ask(&request_to(route).replace("\r\n\r\n", &format!("\r\n{credential}\r\n")))
                .await;
            let control = answer.header("cache-control").unwrap_or_default();
            let is_the_same_for_all = route.path == "/help/" || route.path.starts_with("/static/");
            let expected = if is_the_same_for_all && credential.is_empty() {
                "public, max-age=300"
            } else {
                "no-store"
            };
            assert_eq!(control, expected, "{route:?} {credential}");
            let varies = answer
                .head
                .lines()
                .any(|line| line.eq_ignore_ascii_case("vary: authorization, cookie"));
            assert_eq!(varies, route.action().is_some(), "{route:?}");
        }
    }
    server.stop().await;
}

/// twine, flit and hatch show only the reason phrase.
#[tokio::test]
async fn message_remedy_and_address_of_a_refused_upload_fit_its_reason_phrase() {
    let server = start(|_| ()).await;
    for (credential, expected) in [
        (
            "",
            "403 Invalid or non-existent authentication information. Use an API token: user name __token__, and the token with its prefix as password. See",
        ),
        (
            "Authorization: Basic YTpi\r\n",
            "403 Uploads with a user name and password are not accepted. Create an API token and upload with __token__ as the user name and the token as the password. See",
        ),
        (
            "Authorization: Bearer pypi-AgE\r\n",
            "403 Invalid or non-existent authentication information. Check that the whole token was copied, that this registry issued it, and that it was not revoked; or create a new one. See",
        ),
    ] {
        let answer = server
            .ask(&format!(
                "POST /legacy/ HTTP/1.1\r\nHost: x\r\n{credential}Content-Length: 0\r\n\r\n"
            ))
            .await;
        let decision = answer.header("portcullis-decision").unwrap();
        assert_eq!(
            answer.head.lines().next().unwrap(),
            format!("HTTP/1.1 {expected} http://index.example/help/#tokens (decision {decision})")
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_asks_first_is_refused_before_it_sends() {
    let server = start(|_| ()).await;
    let mut connection = server.connect().await;
    connection.0.write_all(b"POST /legacy/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n\r\n").await.unwrap();
    let answer = connection.answer(false).await;
    assert_eq!(
        (answer.status(), answer.header("connection")),
        (403, Some("close"))
    );
    assert!(connection.is_closed().await);
    server.stop().await;
}

#[tokio::test]
async fn an_upload_to_the_address_without_slash_is_sent_on_with_its_body() {
    let server = start(|_| ()).await;
    let answer = server
        .ask("POST /legacy HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 3\r\n\r\nabc")
        .await;
    assert_eq!(
        (answer.status(), answer.header("location")),
        (308, Some("http://index.example/legacy/"))
    );
    server.stop().await;
}

#[tokio::test]
async fn a_wrong_method_or_address_is_answered_with_what_would_be_right() {
    let server = start(|_| ()).await;
    let answer = server.ask("GET /legacy/ HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(
        (answer.status(), answer.header("allow")),
        (405, Some("POST"))
    );
    let answer = server
        .ask("DELETE /simple/ HTTP/1.1\r\nHost: x\r\n\r\n")
        .await;
    assert_eq!(
        (answer.status(), answer.header("allow")),
        (405, Some("GET, HEAD"))
    );
    let answer = server
        .ask("POST /simple/ HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab")
        .await;
    assert_eq!(answer.status(), 405);
    assert!(
        answer
            .head
            .lines()
            .next()
            .unwrap()
            .contains("Uploads go to http://index.example/legacy/"),
        "{}",
        answer.head
    );
    let answer = server.ask("GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(
        (answer.status(), answer.header("portcullis-decision")),
        (404, None)
    );
    server.stop().await;
}

/// Proxies would read a request with two hosts differently.
#[tokio::test]
async fn a_request_names_its_host_once() {
    let server = start(|_| {}).await;
    for (head, status) in [
        ("GET /health HTTP/1.1\r\nHost: x\r\n\r\n", 200),
        ("GET /health HTTP/1.1\r\n\r\n", 400),
        ("GET /health HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", 400),
        (
            "GET /health HTTP/1.1\r\nHost: x\r\nHost: evil.example\r\n\r\n",
            400,
        ),
    ] {
        assert_eq!(server.ask(head).await.status(), status, "{head}");
    }
}

#[tokio::test]
async fn head_tells_the_length_and_sends_no_body() {
    let server = start(|_| ()).await;
    let got = server.ask("GET /help/ HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let mut connection = server.connect().await;
    connection
        .0
        .write_all(
            b"HEAD /help/ HTTP/1.1\r\nHost: x\r\n\r\nGET /health HTTP/1.1\r\nHost: x\r\n\r\n",
        )
        .await
        .unwrap();
    let head = connection.answer(true).await;
    assert_eq!(
        head.header("content-length"),
        Some(got.body.len().to_string().as_str())
    );
    assert_eq!(connection.answer(false).await.body, r#"{"status":"alive"}"#);
    server.stop().await;
}

#[tokio::test]
async fn a_server_without_policies_lives_but_is_not_ready() {
    let server = start(|_| ()).await;
    assert_eq!(
        server
            .ask("GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            .await
            .status(),
        200
    );
    let answer = server
        .ask("GET /health?ready HTTP/1.1\r\nHost: x\r\n\r\n")
        .await;
    assert_eq!(answer.status(), 503);
    assert!(
        answer.body.contains(r#""database":"ok""#),
        "{}",
        answer.body
    );
    server.stop().await;
}

#[tokio::test]
async fn metrics_are_not_for_who_came_through_an_unknown_proxy() {
    let server = start(|_| ()).await;
    for header in [
        "X-Forwarded-For: 198.51.100.1",
        "X-Real-IP: 198.51.100.1",
        "Via: 1.1 proxy",
        "X-Forwarded-Host: index.example",
    ] {
        let answer = server
            .ask(&format!(
                "GET /metrics HTTP/1.1\r\nHost: x\r\n{header}\r\n\r\n"
            ))
            .await;
        assert_eq!(answer.status(), 403, "{header}");
    }
    // Allowed, but not found because this server collects none.
    assert_eq!(
        server
            .ask("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            .await
            .status(),
        404
    );
    server.stop().await;
    let server =
        start(|config| config.metrics_allowed = vec!["192.0.2.0/24".parse().unwrap()]).await;
    assert_eq!(
        server
            .ask("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            .await
            .status(),
        403
    );
    server.stop().await;
}

#[tokio::test]
async fn headers_that_do_not_end_in_time_or_size_end_the_connection() {
    let server = start(|config| config.header_timeout = Duration::from_millis(100)).await;
    let mut slow = server.connect().await;
    slow.0.write_all(b"GET / HTTP/1.1\r\nHost:").await.unwrap();
    let mut silent = server.connect().await;
    assert!(slow.is_closed().await);
    assert!(silent.is_closed().await);
    let mut idle = server.connect().await;
    idle.0
        .write_all(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(idle.answer(false).await.status(), 200);
    assert!(idle.is_closed().await);
    let mut large = server.connect().await;
    let _ = large
        .0
        .write_all(
            format!(
                "GET /health HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n",
                "x".repeat(40 << 10)
            )
            .as_bytes(),
        )
        .await;
    assert_eq!(large.answer(false).await.status(), 431);
    server.stop().await;
}

#[tokio::test]
async fn a_body_that_stops_arriving_is_given_up() {
    let server = start(|config| config.body_idle_timeout = Duration::from_millis(100)).await;
    let mut connection = server.connect().await;
    let head = "POST /api/projects/demo/releases/1.0/publish HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{";
    connection.0.write_all(head.as_bytes()).await.unwrap();
    let answer = connection.answer(false).await;
    assert_eq!(
        (answer.status(), answer.header("connection")),
        (408, Some("close"))
    );
    assert!(connection.is_closed().await);
    server.stop().await;
}

#[tokio::test]
async fn a_shutdown_closes_idle_connections_and_ends() {
    let server = start(|_| ()).await;
    let mut connection = server.connect().await;
    connection
        .0
        .write_all(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(connection.answer(false).await.status(), 200);
    let address = server.address;
    server.stop().await;
    assert!(connection.is_closed().await);
    assert!(TcpStream::connect(address).await.is_err());
}
