//! Bodies longer than any form: those of calls that name hundreds of files.
//!
//! Anybody may send one before the caller is known. So only few are held at a time, fewer still for
//! one address, and each has to arrive soon: a place is held for seconds only.

use std::net::IpAddr;
use std::sync::LazyLock;
use std::time::Duration;

use axum::http::StatusCode;
use futures_util::StreamExt as _;
use model::limit::{
    LONG_BODIES_AT_ONCE, LONG_BODIES_PER_ADDRESS, LONG_BODY_TIME, LONG_BODY_WAIT, SMALL_BODY_BYTES,
};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use super::MAX_BODY_BYTES;
use crate::body::{BodyError, Incoming};
use crate::crowd::{Crowd, InCrowd};
use crate::problem::Problem;
use crate::small_bodies;

/// Places for long bodies.
struct LongBodies {
    all: Semaphore,
    of_addresses: Crowd,
    per_address: usize,
    wait: Duration,
    time: Duration,
}

static PLACES: LazyLock<LongBodies> = LazyLock::new(|| LongBodies {
    all: Semaphore::new(LONG_BODIES_AT_ONCE.length()),
    of_addresses: Crowd::default(),
    per_address: LONG_BODIES_PER_ADDRESS.length(),
    wait: Duration::from_millis(LONG_BODY_WAIT.milliseconds()),
    time: Duration::from_millis(LONG_BODY_TIME.milliseconds()),
});

/// The place of a long body, held for as long as any of the body is: until the proof is accepted,
/// which may have to wait for a password check.
pub(crate) struct LongBody<'a> {
    _of_address: InCrowd,
    _of_all: SemaphorePermit<'a>,
}

/// The whole body. Most are as short as a form and need no place.
pub(super) async fn read(
    body: &Incoming,
    address: IpAddr,
) -> Result<(Vec<u8>, Option<LongBody<'static>>), Problem> {
    read_within(body, address, &PLACES).await
}

async fn read_within<'a>(
    body: &Incoming,
    address: IpAddr,
    places: &'a LongBodies,
) -> Result<(Vec<u8>, Option<LongBody<'a>>), Problem> {
    let mut whole = Vec::new();
    let beginning = read_until(body, &mut whole, SMALL_BODY_BYTES.length());
    if small_bodies::read(address, beginning).await? {
        return Ok((whole, None));
    }
    // Bodies that wait for a place count as well.
    let of_address = places
        .of_addresses
        .enter(address, places.per_address)
        .ok_or_else(busy)?;
    let Ok(Ok(of_all)) = timeout(places.wait, places.all.acquire()).await else {
        return Err(busy());
    };
    let rest = read_until(body, &mut whole, MAX_BODY_BYTES);
    match timeout(places.time, rest).await {
        Ok(Ok(true)) => Ok((
            whole,
            Some(LongBody {
                _of_address: of_address,
                _of_all: of_all,
            }),
        )),
        Ok(Ok(false)) => Err(BodyError::TooLarge(MAX_BODY_BYTES as u64).into()),
        Ok(Err(problem)) => Err(problem),
        Err(_) => Err(BodyError::TooSlow.into()),
    }
}

/// Reads until the end, or returns false once there is more than `most`.
async fn read_until(body: &Incoming, whole: &mut Vec<u8>, most: usize) -> Result<bool, Problem> {
    let mut chunks = body.chunks();
    while whole.len() <= most {
        let Some(chunk) = chunks.next().await else {
            return Ok(true);
        };
        whole.extend_from_slice(&chunk?);
        body.parsed();
    }
    Ok(false)
}

fn busy() -> Problem {
    let problem = Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "too-many-long-requests",
        "Too many long requests are under way.",
    );
    problem
        .remedy("Try again in a few seconds.", None)
        .retry_after(5)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use axum::body::Body;

    use super::*;
    use crate::body::BodyLimits;

    fn places(all: usize, per_address: usize) -> LongBodies {
        let (wait, time) = (Duration::from_millis(10), Duration::from_millis(50));
        LongBodies {
            all: Semaphore::new(all),
            of_addresses: Crowd::default(),
            per_address,
            wait,
            time,
        }
    }

    fn of_length(length: usize) -> Incoming {
        Incoming::new(Body::from(vec![b' '; length]), BodyLimits::OF_TESTS)
    }

    /// A body that stops arriving after its beginning.
    fn begun() -> Incoming {
        let beginning = futures_util::stream::iter([Ok::<_, std::io::Error>(vec![
            b' ';
            SMALL_BODY_BYTES
                .length()
                + 1
        ])]);
        let body = Body::from_stream(beginning.chain(futures_util::stream::pending()));
        Incoming::new(
            body,
            BodyLimits {
                idle: Duration::from_secs(600),
                ..BodyLimits::OF_TESTS
            },
        )
    }

    fn host(number: u8) -> IpAddr {
        Ipv4Addr::new(192, 0, 2, number).into()
    }

    #[tokio::test]
    async fn of_long_bodies_few_are_held_at_a_time() {
        let places = places(1, 4);
        let long = || of_length(SMALL_BODY_BYTES.length() + 1);
        assert!(read_within(&long(), host(1), &places).await.is_ok());
        let held = places.all.acquire().await.unwrap();
        assert!(read_within(&long(), host(1), &places).await.is_err());
        assert!(
            read_within(&of_length(SMALL_BODY_BYTES.length()), host(1), &places)
                .await
                .is_ok(),
            "usual ones need no place"
        );
        drop(held);
        assert!(
            read_within(&of_length(MAX_BODY_BYTES), host(1), &places)
                .await
                .is_ok()
        );
        assert!(
            read_within(&of_length(MAX_BODY_BYTES + 1), host(1), &places)
                .await
                .is_err()
        );
    }

    #[tokio::test]
    async fn one_address_keeps_no_place_from_others() {
        let places = places(2, 1);
        let (first, second) = (begun(), begun());
        let slow = async {
            (
                read_within(&first, host(1), &places).await.is_err(),
                read_within(&second, host(1), &places).await.is_err(),
            )
        };
        let others = async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            assert!(
                read_within(&begun(), host(1), &places).await.is_err(),
                "its share is taken"
            );
            read_within(&of_length(SMALL_BODY_BYTES.length() + 1), host(2), &places)
                .await
                .is_ok()
        };
        assert_eq!(tokio::join!(slow, others), ((true, true), true));
    }

    #[tokio::test]
    async fn a_long_body_arrives_soon_or_gives_its_place_back() {
        let places = places(1, 1);
        assert!(read_within(&begun(), host(1), &places).await.is_err());
        assert!(
            read_within(&of_length(SMALL_BODY_BYTES.length() + 1), host(1), &places)
                .await
                .is_ok()
        );
    }
}
