//! The mails that people get, and the requests that a breach service gets.

use std::sync::{Arc, Mutex};

use model::mail::{MailField, MailKind};
use model::{Assurance, SessionId, UserId};
use storage::outbox::{MailState, OutboxRow};
use storage::sessions::NewSession;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::fixture::Fixture;

impl Fixture {
    /// The mails that were written since the last call, oldest first.
    pub(crate) async fn mails(&self) -> Vec<OutboxRow> {
        let now = self.identity_now();
        self.storage
            .lease_mails(now, now.plus_ms(1000 * 24 * 3600 * 1000), 1000)
            .await
            .unwrap()
    }

    /// The only one of them.
    pub(crate) async fn mail(&self) -> OutboxRow {
        let mut mails = self.mails().await;
        assert_eq!(mails.len(), 1, "{:?}", told(&mails));
        mails.remove(0)
    }

    /// How many mails were written without a recipient.
    pub(crate) async fn void_mails(&self) -> usize {
        self.storage
            .outbox(Some(MailState::Void), 1000)
            .await
            .unwrap()
            .len()
    }

    /// A session of the user, in the state after a login.
    pub(crate) async fn session(&self, user: UserId) -> SessionId {
        let (id, at) = (SessionId::new(), self.identity_now());
        let mut secret = [0; 32];
        secret[..16].copy_from_slice(id.0.as_bytes());
        let session = NewSession {
            secret: &secret,
            id,
            user,
            created_at: at,
            expires_at: at.plus_ms(3600 * 1000),
            remote_address: "192.0.2.1",
            user_agent: "test",
            assurance: Assurance {
                password_at: Some(at),
                ..Assurance::NONE
            },
        };
        let mut unit = self.storage.begin().await.unwrap();
        unit.create_session(&session).await.unwrap();
        unit.commit(&self.some_event()).await.unwrap();
        id
    }

    pub(crate) async fn sessions(&self, user: UserId) -> Vec<SessionId> {
        let now = self.identity_now();
        self.storage
            .sessions_of(user, now.plus_ms(-3600 * 1000), now)
            .await
            .unwrap()
            .into_iter()
            .map(|session| session.id)
            .collect()
    }

    pub(crate) fn some_event(&self) -> model::audit::AuditEvent {
        model::audit::AuditEvent::of_server(
            self.identity_now(),
            model::audit::Detail::read(
                model::audit::EventKind::SessionStarted,
                &serde_json::json!({}),
            ),
        )
    }

    fn identity_now(&self) -> model::Timestamp {
        model::Clock::now(&*self.clock)
    }
}

/// The recipients and kinds.
pub(crate) fn told(mails: &[OutboxRow]) -> Vec<(String, MailKind)> {
    mails
        .iter()
        .map(|mail| (mail.recipient.clone(), mail.mail.kind))
        .collect()
}

/// The secret of the link in a mail, which opens this page.
pub(crate) fn link_in(mail: &OutboxRow, page: &str) -> String {
    let link = mail.mail.field(MailField::Link);
    link.strip_prefix(&format!("https://pypi.example.org{page}?link="))
        .unwrap_or_else(|| panic!("{link}"))
        .to_owned()
}

/// A service's answer.
#[derive(Clone)]
pub(crate) enum Reply {
    Body(String),
    Raw(Vec<u8>),
    /// Nothing until the test releases it; then this.
    Late(Arc<tokio::sync::Semaphore>, String),
}

/// A service on this machine that records its requests.
pub(crate) struct Service {
    pub(crate) url: String,
    asked: Arc<Mutex<Vec<String>>>,
    reply: Arc<Mutex<Reply>>,
}

impl Service {
    pub(crate) async fn start(reply: Reply) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (asked, reply) = (
            Arc::new(Mutex::new(Vec::new())),
            Arc::new(Mutex::new(reply)),
        );
        let (log, replies) = (Arc::clone(&asked), Arc::clone(&reply));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (log, replies) = (Arc::clone(&log), Arc::clone(&replies));
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        let Ok(byte @ 0..) = stream.read_u8().await else {
                            return;
                        };
                        head.push(byte);
                    }
                    log.lock().unwrap().push(String::from_utf8(head).unwrap());
                    let reply = replies.lock().unwrap().clone();
                    let answer = match reply {
                        Reply::Body(body) => ok(&body),
                        Reply::Raw(bytes) => bytes,
                        Reply::Late(until, body) => {
                            until.acquire().await.unwrap().forget();
                            ok(&body)
                        }
                    };
                    // The client hangs up when it has read enough.
                    let _hung_up = stream.write_all(&answer).await;
                });
            }
        });
        Self { url, asked, reply }
    }

    pub(crate) fn answers(&self, reply: Reply) {
        *self.reply.lock().unwrap() = reply;
    }

    /// Every request, as received.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn ok(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len()).into_bytes()
}
