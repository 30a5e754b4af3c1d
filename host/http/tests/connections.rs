//! The whole of HTTP over real connections, with a gate that has no policy set: whatever
//! must be decided is answered with 503 or refused by the core, and nothing else works.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use gate::{Gate, GateConfig, Recorder, RecorderConfig, ServerIdentity};
use identity::{Identity, IdentityConfig};
use model::{Clock, SystemClock};
use portcullis_http::{App, AppConfig, Route, routes};
use registry::{Registry, RegistryConfig};
use storage::Storage;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A server on a port of its own, with everything it stores in a folder of its own.
struct Server {
    address: SocketAddr,
    stop: CancellationToken,
    serving: JoinHandle<()>,
    _folder: tempfile::TempDir,
}

async fn start(configure: impl FnOnce(&mut AppConfig)) -> Server {
    let folder = tempfile::tempdir().unwrap();
    let storage = Storage::connect(&format!("sqlite:{}", folder.path().join("database").display())).await.unwrap();
    storage.migrate().await.unwrap();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let mut engine = policy_engine::EngineConfig::new(policy_engine::Compiler::InProcess);
    engine.lanes = 1;
    let gate = Gate::new(GateConfig {
        storage: storage.clone(),
        engine: policy_engine::Engine::new(engine).unwrap(),
        recorder: Recorder::start(storage.clone(), RecorderConfig { reads_per_second: 10, ..RecorderConfig::default() }),
        clock: clock.clone(),
        server: ServerIdentity { id: model::DecisionId::new().0, host: "test".into(), pid: 1, started_at: clock.now() },
    });
    let identity = Identity::new(storage.clone(), clock.clone(), IdentityConfig::for_host("index.example")).unwrap();
    let registry = Registry::new(storage, clock, RegistryConfig::new(folder.path().join("blobs"), "http://index.example")).unwrap();
    let mut config = AppConfig::new("http://index.example").unwrap();
    configure(&mut config);
    let app = App::new(config, gate, identity, registry);

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let serving = tokio::spawn(portcullis_http::serve(listener, app, stop.clone()));
    Server { address, stop, serving, _folder: folder }
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
        self.head.lines().skip(1).filter_map(|line| line.split_once(": ")).find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
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
        let mut answer = Answer { head: head.iter().map(|&byte| byte as char).collect(), body: String::new() };
        let length: usize = answer.header("content-length").map_or(0, |length| length.parse().unwrap());
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
    let path = route.path.replace("{project}", "demo").replace("{version}", "1.0").replace("{name}", "demo-1.0.tar.gz");
    let path = path.replace("{first}", "aa").replace("{second}", "bb").replace("{rest}", &"cc".repeat(30));
    format!("{} {path} HTTP/1.1\r\nHost: anything\r\nContent-Length: 0\r\n\r\n", route.verb.methods()[0])
}

#[tokio::test]
async fn without_a_policy_set_nothing_that_must_be_decided_is_answered() {
    let server = start(|_| ()).await;
    for route in routes() {
        let answer = server.ask(&request_to(route)).await;
        match route.action() {
            Some(action) => {
                assert!(matches!(answer.status(), 503 | 403), "{route:?} {action}: {answer:?}");
                assert_eq!(answer.header("portcullis-policy-set"), Some("0"), "{route:?}");
                assert!(answer.header("portcullis-decision").is_some(), "{route:?}");
                assert_eq!(answer.status() == 503, answer.header("retry-after").is_some(), "{route:?}");
            }
            None => {
                assert!(!matches!(answer.status(), 500..), "{route:?}: {answer:?}");
                assert_eq!(answer.header("portcullis-decision"), None, "{route:?}");
            }
        }
        for name in ["content-security-policy", "x-content-type-options", "referrer-policy", "x-frame-options"] {
            assert!(answer.header(name).is_some(), "{route:?} lacks {name}");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn a_refused_upload_is_drained_and_its_connection_goes_on() {
    let server = start(|_| ()).await;
    let mut connection = server.connect().await;
    let body = vec![b'x'; 8 << 20];
    let head = format!("POST /legacy/ HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: {}\r\n\r\n", body.len());
    for _ in 0..2 {
        // Everything is written before anything is read, as Python's clients do.
        connection.0.write_all(head.as_bytes()).await.unwrap();
        connection.0.write_all(&body).await.unwrap();
        let answer = connection.answer(false).await;
        assert_eq!(answer.status(), 403);
        assert!(answer.head.starts_with("HTTP/1.1 403 Invalid or non-existent authentication information. Use an API token:"), "{}", answer.head);
        assert!(answer.head.lines().next().unwrap().ends_with("See http://index.example/help/#tokens"), "{}", answer.head);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_asks_first_is_refused_before_it_sends() {
    let server = start(|_| ()).await;
    let mut connection = server.connect().await;
    connection.0.write_all(b"POST /legacy/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n\r\n").await.unwrap();
    let answer = connection.answer(false).await;
    assert_eq!((answer.status(), answer.header("connection")), (403, Some("close")));
    assert!(connection.is_closed().await);
    server.stop().await;
}

#[tokio::test]
async fn an_upload_to_the_address_without_slash_is_sent_on_with_its_body() {
    let server = start(|_| ()).await;
    let answer = server.ask("POST /legacy HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 3\r\n\r\nabc").await;
    assert_eq!((answer.status(), answer.header("location")), (308, Some("http://index.example/legacy/")));
    server.stop().await;
}

#[tokio::test]
async fn a_wrong_method_or_address_is_answered_with_what_would_be_right() {
    let server = start(|_| ()).await;
    let answer = server.ask("GET /legacy/ HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!((answer.status(), answer.header("allow")), (405, Some("POST")));
    let answer = server.ask("DELETE /simple/ HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!((answer.status(), answer.header("allow")), (405, Some("GET, HEAD")));
    let answer = server.ask("POST /simple/ HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab").await;
    assert_eq!(answer.status(), 405);
    assert!(answer.head.lines().next().unwrap().contains("Uploads go to http://index.example/legacy/"), "{}", answer.head);
    let answer = server.ask("GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!((answer.status(), answer.header("portcullis-decision")), (404, None));
    server.stop().await;
}

#[tokio::test]
async fn head_tells_the_length_and_sends_no_body() {
    let server = start(|_| ()).await;
    let got = server.ask("GET /help/ HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let mut connection = server.connect().await;
    connection.0.write_all(b"HEAD /help/ HTTP/1.1\r\nHost: x\r\n\r\nGET /health HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let head = connection.answer(true).await;
    assert_eq!(head.header("content-length"), Some(got.body.len().to_string().as_str()));
    assert_eq!(connection.answer(false).await.body, r#"{"status":"alive"}"#);
    server.stop().await;
}

#[tokio::test]
async fn a_server_without_policies_lives_but_is_not_ready() {
    let server = start(|_| ()).await;
    assert_eq!(server.ask("GET /health HTTP/1.1\r\nHost: x\r\n\r\n").await.status(), 200);
    let answer = server.ask("GET /health?ready HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(answer.status(), 503);
    assert!(answer.body.contains(r#""database":"ok""#), "{}", answer.body);
    server.stop().await;
}

#[tokio::test]
async fn metrics_are_not_for_who_came_through_an_unknown_proxy() {
    let server = start(|_| ()).await;
    let answer = server.ask("GET /metrics HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 198.51.100.1\r\n\r\n").await;
    assert_eq!(answer.status(), 403);
    // Allowed, and not found because this server gathers none.
    assert_eq!(server.ask("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await.status(), 404);
    server.stop().await;
    let server = start(|config| config.metrics_allowed = vec!["192.0.2.0/24".parse().unwrap()]).await;
    assert_eq!(server.ask("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await.status(), 403);
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
    let mut large = server.connect().await;
    let _ = large.0.write_all(format!("GET /health HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "x".repeat(40 << 10)).as_bytes()).await;
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
    assert_eq!((answer.status(), answer.header("connection")), (408, Some("close")));
    assert!(connection.is_closed().await);
    server.stop().await;
}

#[tokio::test]
async fn a_shutdown_closes_idle_connections_and_ends() {
    let server = start(|_| ()).await;
    let mut connection = server.connect().await;
    connection.0.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    assert_eq!(connection.answer(false).await.status(), 200);
    let address = server.address;
    server.stop().await;
    assert!(connection.is_closed().await);
    assert!(TcpStream::connect(address).await.is_err());
}
