//! The mailer with a real database, a clock that stands still, and a scripted SMTP server. A real
//! server with a real SMTP server is in `tests/tests/server/mail.rs`.

use std::sync::Mutex;

use model::audit::EventKind;
use model::time::ManualClock;
use storage::audit::AuditFilter;
use storage::outbox::{MailState, NewMail, OutboxListing};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;

use super::*;
use crate::Encryption;

const NOW: Timestamp = Timestamp::from_seconds(1_767_614_400);

struct Fixture {
    storage: Storage,
    clock: Arc<ManualClock>,
    folder: tempfile::TempDir,
}

impl Fixture {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::connect(&format!(
            "sqlite:{}",
            folder.path().join("test.sqlite").display()
        ))
        .await
        .unwrap();
        storage.migrate().await.unwrap();
        Self {
            storage,
            clock: Arc::new(ManualClock::at(NOW)),
            folder,
        }
    }

    fn outbox(&self) -> PathBuf {
        self.folder.path().join("outbox")
    }

    fn mailer(&self, transport: Transport) -> Mailer {
        let registry = Registry {
            name: "packages.example.org".to_owned(),
            public_url: "https://packages.example.org".to_owned(),
            contact: None,
        };
        let config = MailConfig::new(
            "Packages <noreply@packages.example.org>".to_owned(),
            transport,
            registry,
        );
        Mailer::new(self.storage.clone(), self.clock.clone(), config).unwrap()
    }

    async fn enqueue(&self, recipient: Option<&str>) -> MailId {
        let (id, at) = (MailId::new(), self.clock.now());
        let mail = Mail::new(MailKind::Test, [(MailField::At, at.to_the_second())]);
        let mut unit = self.storage.begin().await.unwrap();
        unit.enqueue_mail(&NewMail {
            id,
            mail: &mail,
            user: None,
            recipient,
            at,
        })
        .await
        .unwrap();
        let event = AuditEvent::of_server(
            at,
            Detail::read(EventKind::MailRequested, &serde_json::json!({})),
        );
        unit.commit(&event).await.unwrap();
        id
    }

    async fn listing(&self, id: MailId) -> OutboxListing {
        self.storage
            .outbox(None, 100)
            .await
            .unwrap()
            .into_iter()
            .find(|mail| mail.id == id)
            .unwrap()
    }

    async fn failures(&self) -> usize {
        let filter = AuditFilter {
            kind: Some(EventKind::MailFailed),
            ..AuditFilter::default()
        };
        self.storage.events(&filter, None, 100).await.unwrap().len()
    }
}

/// An SMTP server that answers each command by its script, and remembers the commands.
struct Script {
    server: SmtpServer,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Script {
    async fn new(
        encryption: Encryption,
        credentials: bool,
        answers: &'static [(&'static str, &'static str)],
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let remembered = heard.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(speak(stream, answers, remembered.clone()));
            }
        });
        let credentials = credentials.then(|| {
            (
                "robot".to_owned(),
                storage::Secret::new("hunter2".to_owned()),
            )
        });
        Self {
            server: SmtpServer {
                host: "127.0.0.1".to_owned(),
                port,
                encryption,
                credentials,
            },
            heard,
        }
    }

    fn transport(&self) -> Transport {
        Transport::Smtp(self.server.clone())
    }

    fn heard(&self, command: &str) -> usize {
        self.heard
            .lock()
            .unwrap()
            .iter()
            .filter(|line| line.starts_with(command))
            .count()
    }
}

async fn speak(
    stream: tokio::net::TcpStream,
    answers: &[(&str, &str)],
    heard: Arc<Mutex<Vec<String>>>,
) -> std::io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    write.write_all(b"220 ready\r\n").await?;
    let mut is_data = false;
    while let Some(line) = lines.next_line().await? {
        if is_data && line != "." {
            continue;
        }
        let command = if is_data { "." } else { line.as_str() };
        heard.lock().unwrap().push(command.to_owned());
        let told = answers
            .iter()
            .find(|(start, _)| command.starts_with(start))
            .map(|(_, answer)| *answer);
        let answer = match (told, command) {
            (Some(answer), _) => answer,
            (None, "DATA") => "354 go on",
            (None, _) => "250 fine",
        };
        is_data = command == "DATA" && answer.starts_with('3');
        write.write_all(format!("{answer}\r\n").as_bytes()).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_mail_without_a_server_becomes_a_file_and_its_words_are_forgotten() {
    let fixture = Fixture::new().await;
    let mailer = fixture.mailer(Transport::Folder(fixture.outbox()));
    let id = fixture.enqueue(Some("ana@example.org")).await;
    assert_eq!(mailer.send_one().await.unwrap(), Look::More);
    assert_eq!(mailer.send_one().await.unwrap(), Look::Nothing);
    let file = fixture
        .outbox()
        .join(format!("20260105T120000Z-test-{id}.eml"));
    assert!(
        std::fs::read_to_string(&file)
            .unwrap()
            .contains("To: ana@example.org")
    );
    assert_eq!(fixture.listing(id).await.state, MailState::Sent);
}

#[tokio::test]
async fn a_mail_to_nobody_is_never_written() {
    let fixture = Fixture::new().await;
    let mailer = fixture.mailer(Transport::Folder(fixture.outbox()));
    fixture.enqueue(None).await;
    assert_eq!(mailer.send_one().await.unwrap(), Look::Nothing);
    assert_eq!(std::fs::read_dir(fixture.outbox()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_mail_is_handed_to_the_server_once() {
    let fixture = Fixture::new().await;
    let script = Script::new(Encryption::Loopback, false, &[]).await;
    let mailer = fixture.mailer(script.transport());
    let id = fixture.enqueue(Some("ana@example.org")).await;
    assert_eq!(mailer.send_one().await.unwrap(), Look::More);
    assert_eq!(mailer.send_one().await.unwrap(), Look::Nothing);
    assert_eq!(
        (
            script.heard("MAIL FROM:<noreply@packages.example.org>"),
            script.heard("RCPT TO:<ana@example.org>"),
            script.heard(".")
        ),
        (1, 1, 1)
    );
    assert_eq!(fixture.listing(id).await.state, MailState::Sent);
}

#[tokio::test]
async fn what_the_server_wants_later_waits_longer_each_time_and_is_given_up_after_three_days() {
    let fixture = Fixture::new().await;
    let script = Script::new(Encryption::Loopback, false, &[("RCPT", "451 busy")]).await;
    let mailer = fixture.mailer(script.transport());
    let id = fixture.enqueue(Some("ana@example.org")).await;
    let mut pauses = Vec::new();
    loop {
        assert_eq!(mailer.send_one().await.unwrap(), Look::More);
        let mail = fixture.listing(id).await;
        if mail.state == MailState::Failed {
            break;
        }
        assert!(
            mail.last_error.unwrap().contains("451"),
            "the operator sees why"
        );
        let pause = (mail.due_at.0 - fixture.clock.now().0) / 1000;
        // A second too early it is left alone.
        fixture.clock.advance_seconds(pause - 1);
        assert_eq!(mailer.send_one().await.unwrap(), Look::Nothing);
        fixture.clock.advance_seconds(1);
        pauses.push(pause / 60);
    }
    assert_eq!(pauses[..5], [1, 5, 15, 60, 60]);
    let days = (fixture.clock.now().0 - NOW.0) as f64 / 86_400_000.0;
    assert!((3.0..3.1).contains(&days), "{days}");
    assert_eq!(fixture.failures().await, 1);
}

#[tokio::test]
async fn what_the_server_refuses_for_good_fails_at_once_on_the_record() {
    let fixture = Fixture::new().await;
    let script = Script::new(Encryption::Loopback, false, &[("RCPT", "550 nobody here")]).await;
    let mailer = fixture.mailer(script.transport());
    let id = fixture.enqueue(Some("ana@example.org")).await;
    assert_eq!(mailer.send_one().await.unwrap(), Look::More);
    assert_eq!(
        (fixture.listing(id).await.state, fixture.failures().await),
        (MailState::Failed, 1)
    );
    assert_eq!(mailer.send_one().await.unwrap(), Look::Nothing);
}

#[tokio::test]
async fn an_address_that_is_none_fails_at_once() {
    let fixture = Fixture::new().await;
    let mailer = fixture.mailer(Transport::Folder(fixture.outbox()));
    let id = fixture
        .enqueue(Some("ana@example.org\r\nBcc: bert@example.org"))
        .await;
    assert_eq!(mailer.send_one().await.unwrap(), Look::More);
    assert_eq!(
        (fixture.listing(id).await.state, fixture.failures().await),
        (MailState::Failed, 1)
    );
}

#[tokio::test]
async fn an_address_that_the_server_cannot_take_holds_up_no_other_mail() {
    let fixture = Fixture::new().await;
    let script = Script::new(Encryption::Loopback, false, &[]).await;
    let mailer = fixture.mailer(script.transport());
    let (odd, plain) = (
        fixture.enqueue(Some("\u{e1}na@example.org")).await,
        fixture.enqueue(Some("ana@example.org")).await,
    );
    assert_eq!(
        (
            mailer.send_one().await.unwrap(),
            mailer.send_one().await.unwrap()
        ),
        (Look::More, Look::More)
    );
    assert_eq!(
        (
            fixture.listing(odd).await.state,
            fixture.listing(plain).await.state
        ),
        (MailState::Failed, MailState::Sent)
    );
}

#[tokio::test]
async fn a_server_that_does_not_accept_us_loses_no_mail() {
    for answers in [
        &[
            ("EHLO", "250-here\r\n250 AUTH PLAIN"),
            ("AUTH", "535 wrong password"),
        ] as &'static [_],
        &[("EHLO", "554 not you")],
    ] {
        let fixture = Fixture::new().await;
        let script = Script::new(Encryption::Loopback, true, answers).await;
        let mailer = fixture.mailer(script.transport());
        let id = fixture.enqueue(Some("ana@example.org")).await;
        assert_eq!(mailer.send_one().await.unwrap(), Look::Closed);
        let mail = fixture.listing(id).await;
        assert_eq!(
            (mail.state, fixture.failures().await, script.heard("MAIL")),
            (MailState::Waiting, 0, 0)
        );
        assert!(!mail.last_error.unwrap().contains("hunter2"));
    }
}

#[tokio::test]
async fn nothing_is_said_in_clear_text_to_a_server_without_starttls() {
    let fixture = Fixture::new().await;
    let script = Script::new(
        Encryption::StartTls,
        true,
        &[("EHLO", "250-here\r\n250 AUTH PLAIN LOGIN")],
    )
    .await;
    let mailer = fixture.mailer(script.transport());
    let id = fixture.enqueue(Some("ana@example.org")).await;
    assert_eq!(mailer.send_one().await.unwrap(), Look::Closed);
    assert_eq!(
        (
            script.heard("AUTH"),
            script.heard("MAIL"),
            script.heard("EHLO")
        ),
        (0, 0, 1)
    );
    assert_eq!(fixture.listing(id).await.state, MailState::Waiting);
}

#[tokio::test]
async fn a_mail_that_was_being_sent_when_its_server_died_is_sent_by_another() {
    let fixture = Fixture::new().await;
    let mailer = fixture.mailer(Transport::Folder(fixture.outbox()));
    let id = fixture.enqueue(Some("ana@example.org")).await;
    let now = fixture.clock.now();
    assert_eq!(
        fixture
            .storage
            .lease_mails(now, now.plus_ms(LEASE_MS), 1)
            .await
            .unwrap()
            .len(),
        1
    );
    assert_eq!(mailer.send_one().await.unwrap(), Look::Nothing);
    fixture.clock.advance_seconds(LEASE_MS / 1000);
    assert_eq!(mailer.send_one().await.unwrap(), Look::More);
    assert_eq!(fixture.listing(id).await.state, MailState::Sent);
}

#[tokio::test]
async fn a_test_mail_tells_at_once_what_is_wrong() {
    let fixture = Fixture::new().await;
    let script = Script::new(Encryption::Loopback, false, &[("RCPT", "550 nobody here")]).await;
    let error = fixture
        .mailer(script.transport())
        .send_test("ana@example.org")
        .await
        .unwrap_err();
    assert!(
        matches!(&error, SendError::Never(why) if why.contains("nobody here")),
        "{error}"
    );
    let delivery = fixture
        .mailer(Transport::Folder(fixture.outbox()))
        .send_test("ana@example.org")
        .await
        .unwrap();
    assert!(matches!(delivery, Delivery::File(file) if file.exists()));
}

#[tokio::test]
async fn a_sender_that_is_no_address_is_refused() {
    let fixture = Fixture::new().await;
    for from in ["", "nobody", "a@b\r\nBcc: c@d", "a@b, c@d"] {
        let registry = Registry {
            name: "r".to_owned(),
            public_url: "https://r".to_owned(),
            contact: None,
        };
        let config = MailConfig::new(
            from.to_owned(),
            Transport::Folder(fixture.outbox()),
            registry,
        );
        assert!(
            matches!(
                Mailer::new(fixture.storage.clone(), fixture.clock.clone(), config),
                Err(InvalidConfig::From(_))
            ),
            "{from:?}"
        );
    }
}
