//! Request bodies: bounded in bytes, in time, and in how much a parser may buffer.
//!
//! A body is handed to its parser and taken back afterwards, because unread bytes still have to be
//! drained: Python's clients send a whole upload before they read the answer, and closing the
//! connection early turns a helpful refusal into "broken pipe". Only a bounded part is drained
//! ([`Rest`]): reading for nothing costs us as much as the sender, and anybody can send. The answer
//! goes out before the first byte is drained, so a client whose connection ends while it sends
//! already has it; urllib3 (twine, poetry, flit), hyper (uv) and curl look for it then.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::http::StatusCode;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use model::limit;
use tokio::sync::Semaphore;
use tokio::time::{Instant, Sleep};

use crate::problem::Problem;

/// The limits of a request's body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyLimits {
    /// Total bytes.
    pub(crate) bytes: u64,
    /// Longest silence.
    pub(crate) idle: Duration,
    /// Time after which the average rate must be at least `slowest_bytes_per_second`. Without that,
    /// one byte per silence would keep an upload's place for days.
    pub(crate) grace: Duration,
    /// Slowest a body may arrive on average.
    pub(crate) slowest_bytes_per_second: u64,
    /// Longest time from the headers to the end of the body, whatever its rate.
    pub(crate) longest: Duration,
    /// Most bytes that are drained beyond those that were read.
    pub(crate) drained: u64,
}

#[cfg(test)]
impl BodyLimits {
    /// Generous ones.
    pub(crate) const OF_TESTS: Self = Self {
        bytes: 64 << 20,
        idle: Duration::from_secs(30),
        grace: Duration::from_secs(60),
        slowest_bytes_per_second: 1024,
        longest: Duration::from_secs(600),
        drained: 1 << 20,
    };
}

/// Bytes given to a parser before it must use some of them. multer buffers whatever is available
/// before it parses any of it: from a fast client, a whole upload in memory.
const MAX_UNPARSED_BYTES: u64 = 256 << 10;

/// How much of a body is drained after its answer is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rest {
    /// Bytes beyond those that were read.
    pub(crate) bytes: u64,
    /// Longest time.
    pub(crate) time: Duration,
}

impl Rest {
    /// For callers without a valid credential: bounds how much a stranger makes us read with one
    /// request. Most wheels are smaller, and their connections stay open.
    pub(crate) const OF_STRANGERS: Self = Self {
        bytes: limit::REST_OF_STRANGERS.get(),
        time: Duration::from_millis(limit::REST_TIME_OF_STRANGERS.milliseconds()),
    };

    /// For known callers, for whom the same bytes would have been an upload: bounds how much a user
    /// makes us read for nothing. It is enough for most refusals to be seen also on systems that
    /// drop an answer when the connection is reset (Windows, macOS).
    pub(crate) const OF_CALLERS: Self = Self {
        bytes: limit::REST_OF_CALLERS.get(),
        time: Duration::from_millis(limit::REST_TIME_OF_CALLERS.milliseconds()),
    };
}

/// Bodies drained at the same time; further connections are simply closed. It is several times the
/// connections of one address, so that one address cannot use it all up.
static DRAINS: Semaphore = Semaphore::const_new(limit::DRAINS_AT_ONCE.length());

/// Why a body could not be read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("the request's body stopped arriving")]
    Idle,
    #[error("the request's body arrives too slowly")]
    TooSlow,
    #[error("the request's body is larger than {0} bytes")]
    TooLarge(u64),
    #[error("a part of the request's body has no end or too long headers")]
    Unparsable,
    #[error("the connection was closed before the request's body was complete")]
    Disconnected,
}

impl From<BodyError> for Problem {
    fn from(error: BodyError) -> Self {
        let (status, code) = match error {
            BodyError::Idle | BodyError::TooSlow => (StatusCode::REQUEST_TIMEOUT, "body-timeout"),
            BodyError::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "body-too-large"),
            BodyError::Unparsable => (StatusCode::BAD_REQUEST, "body-malformed"),
            BodyError::Disconnected => (StatusCode::BAD_REQUEST, "body-incomplete"),
        };
        let text = error.to_string();
        let mut characters = text.chars();
        let sentence = characters
            .next()
            .map(|first| format!("{}{}.", first.to_ascii_uppercase(), characters.as_str()))
            .unwrap_or_default();
        Problem::new(status, code, sentence)
    }
}

/// A request's body. Clones are handles to the same one.
#[derive(Clone)]
pub(crate) struct Incoming(Arc<Mutex<State>>);

struct State {
    body: Body,
    limits: BodyLimits,
    started: Instant,
    silence: Pin<Box<Sleep>>,
    received: u64,
    unparsed: u64,
    /// Whether the parser was paused, so that it uses what it has.
    paused: bool,
    /// Whether the body was polled yet: hyper sends `100 Continue` at the first poll.
    touched: bool,
    ended: bool,
    failure: Option<BodyError>,
}

impl Incoming {
    pub(crate) fn new(body: Body, limits: BodyLimits) -> Self {
        let ended = body.is_end_stream();
        Self(Arc::new(Mutex::new(State {
            body,
            limits,
            started: Instant::now(),
            silence: Box::pin(tokio::time::sleep(limits.idle)),
            received: 0,
            unparsed: 0,
            paused: false,
            touched: false,
            ended,
            failure: None,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The body as a stream of chunks.
    pub(crate) fn chunks(&self) -> Chunks {
        Chunks(self.clone())
    }

    /// Notes that the parser used what it got so far.
    pub(crate) fn parsed(&self) {
        let mut state = self.state();
        state.unparsed = 0;
        state.paused = false;
    }

    /// How many bytes have come.
    pub(crate) fn received(&self) -> u64 {
        self.state().received
    }

    /// Pretends that so many bytes have come.
    #[cfg(test)]
    pub(crate) fn set_received(&self, bytes: u64) {
        self.state().received = bytes;
    }

    /// Why reading failed, if it did.
    pub(crate) fn failure(&self) -> Option<BodyError> {
        self.state().failure
    }

    /// Lowers the limits on the body's size, for reading and for draining.
    pub(crate) fn limit_to(&self, bytes: u64) {
        let mut state = self.state();
        state.limits.bytes = state.limits.bytes.min(bytes);
        state.limits.drained = state.limits.drained.min(bytes);
    }

    /// The whole body, at most `limit` bytes of it.
    pub(crate) async fn read_whole(&self, limit: usize) -> Result<Vec<u8>, BodyError> {
        // A body whose declared length is larger is refused at once.
        if self.state().body.size_hint().lower() > limit as u64 {
            return Err(BodyError::TooLarge(limit as u64));
        }
        let mut whole = Vec::new();
        let mut chunks = self.chunks();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk?;
            if whole.len() + chunk.len() > limit {
                return Err(BodyError::TooLarge(limit as u64));
            }
            whole.extend_from_slice(&chunk);
            self.parsed();
        }
        Ok(whole)
    }

    /// Waits for the whole body, at most `limit` bytes of it, and keeps it for a later reader.
    pub(crate) async fn gather(&self, limit: usize) -> Result<(), BodyError> {
        let whole = self.read_whole(limit).await?;
        let mut state = self.state();
        state.ended = whole.is_empty();
        state.body = Body::from(whole);
        (state.received, state.unparsed) = (0, 0);
        Ok(())
    }

    /// Drains the unread rest. Returns whether the connection must be closed after the answer:
    /// because nothing more can be read from it, because more is left than is drained, or because
    /// the client waits for `100 Continue` and must not send its body at all.
    pub(crate) fn finish(self, expects_continue: bool, rest: Rest) -> bool {
        self.finish_in(&DRAINS, expects_continue, rest)
    }

    fn finish_in(self, drains: &'static Semaphore, expects_continue: bool, rest: Rest) -> bool {
        let mut state = self.state();
        if state.ended {
            return false;
        }
        if !matches!(state.failure, None | Some(BodyError::TooLarge(_)))
            || (expects_continue && !state.touched)
        {
            return true;
        }
        state.failure = None;
        let bytes = state.limits.drained.min(rest.bytes);
        state.limits.bytes = state.received.saturating_add(bytes);
        let comes_too_much = state.body.size_hint().lower() > bytes;
        drop(state);
        let Ok(place) = drains.try_acquire() else {
            return true;
        };
        // Invariant: bounded by the body's own limits and by `rest`; nothing is stored.
        tokio::spawn(async move {
            let mut chunks = self.chunks();
            let drain = async {
                while let Some(Ok(_)) = chunks.next().await {
                    self.parsed();
                }
            };
            let _ = tokio::time::timeout(rest.time, drain).await;
            // If anything is left now, dropping the last handle to the body ends the connection.
            drop(place);
        });
        comes_too_much
    }
}

/// The chunks of an [`Incoming`] body.
pub(crate) struct Chunks(Incoming);

impl Stream for Chunks {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut state = self.0.state();
        let polled = ready!(state.poll(context));
        if let Some(Err(error)) = &polled {
            state.failure = Some(*error);
        }
        Poll::Ready(polled)
    }
}

impl State {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        if let Some(failure) = self.failure {
            return Poll::Ready(Some(Err(failure)));
        }
        self.touched = true;
        if self.unparsed >= MAX_UNPARSED_BYTES && !self.ended {
            // Pausing once makes the parser use what it has. If it has used nothing by the next
            // poll, it never will.
            if self.paused {
                return Poll::Ready(Some(Err(BodyError::Unparsable)));
            }
            self.paused = true;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        loop {
            if self.ended {
                return Poll::Ready(None);
            }
            let frame = match Pin::new(&mut self.body).poll_frame(context) {
                Poll::Pending => {
                    ready!(self.silence.as_mut().poll(context));
                    return Poll::Ready(Some(Err(BodyError::Idle)));
                }
                Poll::Ready(frame) => frame,
            };
            let chunk = match frame {
                None => {
                    self.ended = true;
                    continue;
                }
                Some(Err(_)) => return Poll::Ready(Some(Err(BodyError::Disconnected))),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(chunk) => chunk,
                    // Trailers are not used.
                    Err(_) => continue,
                },
            };
            let now = Instant::now();
            self.silence.as_mut().reset(now + self.limits.idle);
            self.received += chunk.len() as u64;
            self.unparsed += chunk.len() as u64;
            let taken = now.duration_since(self.started);
            let late = taken.saturating_sub(self.limits.grace).as_millis() as u64;
            return Poll::Ready(Some(if self.received > self.limits.bytes {
                Err(BodyError::TooLarge(self.limits.bytes))
            } else if taken > self.limits.longest
                || self.received < late.saturating_mul(self.limits.slowest_bytes_per_second) / 1000
            {
                Err(BodyError::TooSlow)
            } else {
                Ok(chunk)
            }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;

    const LIMITS: BodyLimits = BodyLimits {
        bytes: 1 << 20,
        drained: 1 << 20,
        ..BodyLimits::OF_TESTS
    };

    fn body_of(chunks: impl IntoIterator<Item = Vec<u8>>) -> Body {
        Body::from_stream(stream::iter(
            chunks
                .into_iter()
                .map(Ok::<_, std::io::Error>)
                .collect::<Vec<_>>(),
        ))
    }

    #[tokio::test]
    async fn a_body_within_its_limits_is_read_whole() {
        let incoming = Incoming::new(body_of([b"ab".to_vec(), b"c".to_vec()]), LIMITS);
        assert_eq!(incoming.read_whole(3).await, Ok(b"abc".to_vec()));
        assert!(!incoming.finish(false, Rest::OF_STRANGERS));
    }

    #[tokio::test]
    async fn a_body_beyond_its_limit_is_not_read() {
        let incoming = Incoming::new(
            body_of([vec![0; 100]]),
            BodyLimits {
                bytes: 99,
                ..LIMITS
            },
        );
        assert_eq!(
            incoming.read_whole(1000).await,
            Err(BodyError::TooLarge(99))
        );
        assert_eq!(incoming.failure(), Some(BodyError::TooLarge(99)));
    }

    #[tokio::test]
    async fn a_body_that_says_it_is_too_long_is_not_waited_for() {
        let incoming = Incoming::new(Body::from(vec![0; 100]), LIMITS);
        assert_eq!(incoming.read_whole(99).await, Err(BodyError::TooLarge(99)));
        assert_eq!(incoming.state().received, 0);
    }

    #[tokio::test]
    async fn a_silent_body_is_given_up() {
        let incoming = Incoming::new(
            Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>()),
            BodyLimits {
                idle: Duration::from_millis(20),
                ..LIMITS
            },
        );
        assert_eq!(incoming.read_whole(10).await, Err(BodyError::Idle));
        assert!(
            incoming.finish(false, Rest::OF_CALLERS),
            "the connection is of no more use"
        );
    }

    #[tokio::test]
    async fn a_body_that_trickles_is_given_up() {
        let trickle = stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            Some((Ok::<_, std::io::Error>(Bytes::from_static(b"x")), ()))
        });
        let incoming = Incoming::new(
            Body::from_stream(trickle),
            BodyLimits {
                grace: Duration::ZERO,
                ..LIMITS
            },
        );
        assert_eq!(incoming.read_whole(1000).await, Err(BodyError::TooSlow));
    }

    #[tokio::test]
    async fn a_body_that_never_ends_is_given_up_however_fast_it_is() {
        let endless = stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            Some((
                Ok::<_, std::io::Error>(Bytes::from_static(&[b'x'; 1024])),
                (),
            ))
        });
        let incoming = Incoming::new(
            Body::from_stream(endless),
            BodyLimits {
                bytes: u64::MAX,
                longest: Duration::from_millis(50),
                ..LIMITS
            },
        );
        assert_eq!(
            incoming.read_whole(usize::MAX).await,
            Err(BodyError::TooSlow)
        );
    }

    #[tokio::test]
    async fn a_parser_that_understands_nothing_is_stopped() {
        let incoming = Incoming::new(body_of(vec![vec![b'x'; 64 << 10]; 16]), LIMITS);
        let mut chunks = incoming.chunks();
        let mut taken = 0;
        let error = loop {
            match chunks.next().await {
                Some(Ok(chunk)) => taken += chunk.len(),
                Some(Err(error)) => break error,
                None => panic!("the body ended"),
            }
        };
        assert_eq!(
            (error, taken as u64),
            (BodyError::Unparsable, MAX_UNPARSED_BYTES)
        );
    }

    #[tokio::test]
    async fn a_greedy_parser_is_made_to_look_at_what_it_has() {
        let incoming = Incoming::new(body_of(vec![vec![b'x'; 64 << 10]; 16]), LIMITS);
        let mut chunks = incoming.chunks();
        let mut taken = 0;
        while taken < 1 << 20 {
            // Like multer: reads all there is before it parses anything.
            let mut greedy = 0;
            let ready = std::future::poll_fn(|context| {
                while let Poll::Ready(Some(chunk)) = chunks.poll_next_unpin(context) {
                    greedy += chunk.unwrap().len();
                }
                Poll::Ready(greedy)
            });
            taken += ready.await;
            assert!(greedy as u64 <= MAX_UNPARSED_BYTES);
            incoming.parsed();
        }
        assert_eq!(taken, 1 << 20);
    }

    #[tokio::test]
    async fn a_client_that_waits_for_100_continue_is_not_drained() {
        let unread = || Incoming::new(body_of([b"ab".to_vec()]), LIMITS);
        assert!(unread().finish(true, Rest::OF_STRANGERS));
        assert!(!unread().finish(false, Rest::OF_STRANGERS));
    }

    #[tokio::test]
    async fn of_an_endless_body_so_much_is_drained_and_no_more() {
        for (rest, most) in [(Rest::OF_STRANGERS, 1 << 20), (Rest::OF_CALLERS, 2 << 20)] {
            let (sent, taken) = tokio::sync::mpsc::unbounded_channel();
            let endless = stream::repeat_with(move || {
                let _ = sent.send(());
                Ok::<_, std::io::Error>(Bytes::from_static(&[b'x'; 1024]))
            });
            let incoming = Incoming::new(
                Body::from_stream(endless),
                BodyLimits {
                    drained: 2 << 20,
                    ..LIMITS
                },
            );
            assert!(!incoming.finish(false, rest), "nobody knows how long it is");
            let mut taken = taken;
            let mut bytes = 0;
            // Ends when the body is dropped.
            while taken.recv().await.is_some() {
                bytes += 1024;
            }
            assert_eq!(bytes, most + 1024, "{rest:?}");
        }
    }

    #[tokio::test]
    async fn of_more_bodies_than_are_drained_at_once_the_connection_ends() {
        static TWO: Semaphore = Semaphore::const_new(2);
        let silent = || {
            Incoming::new(
                Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>()),
                LIMITS,
            )
        };
        let closed = [0; 4].map(|_| silent().finish_in(&TWO, false, Rest::OF_CALLERS));
        assert_eq!(closed, [false, false, true, true]);
    }

    #[tokio::test]
    async fn a_connection_that_will_not_be_drained_to_its_end_is_closed_after_the_answer() {
        let of_length = |length: usize| {
            Incoming::new(
                Body::from(vec![0; length]),
                BodyLimits {
                    drained: 64 << 20,
                    ..LIMITS
                },
            )
        };
        assert!(!of_length(1 << 20).finish(false, Rest::OF_STRANGERS));
        assert!(of_length((1 << 20) + 1).finish(false, Rest::OF_STRANGERS));
        assert!(!of_length((1 << 20) + 1).finish(false, Rest::OF_CALLERS));
    }
}
