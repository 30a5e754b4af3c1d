//! Bodies of forms and of calls, which anybody may begin to send: only few are awaited for one
//! address at a time, and each has to arrive soon.

use std::net::IpAddr;
use std::sync::LazyLock;
use std::time::Duration;

use axum::http::StatusCode;
use model::limit::{SMALL_BODIES_PER_ADDRESS, SMALL_BODY_TIME};
use tokio::time::timeout;

use crate::body::BodyError;
use crate::crowd::Crowd;
use crate::problem::Problem;

static AWAITED: LazyLock<Crowd> = LazyLock::new(Crowd::default);

/// Reads a body of a request that comes from this address. A body that has already arrived is not
/// counted.
pub(crate) async fn read<T, E: Into<Problem>>(
    address: IpAddr,
    reading: impl Future<Output = Result<T, E>>,
) -> Result<T, Problem> {
    read_of(&AWAITED, address, reading).await
}

async fn read_of<T, E: Into<Problem>>(
    awaited: &Crowd,
    address: IpAddr,
    reading: impl Future<Output = Result<T, E>>,
) -> Result<T, Problem> {
    let time = Duration::from_millis(SMALL_BODY_TIME.milliseconds());
    let most = SMALL_BODIES_PER_ADDRESS.length();
    let read = awaited.wait_for(address, most, timeout(time, reading));
    match read.await {
        Some(Ok(read)) => read.map_err(Into::into),
        Some(Err(_)) => Err(BodyError::TooSlow.into()),
        None => {
            let problem = Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "too-many-requests-under-way",
                "Your address has begun too many requests and not sent the rest of them.",
            );
            Err(problem
                .remedy("Try again in a few seconds.", None)
                .retry_after(5))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;

    fn host(number: u8) -> IpAddr {
        [192, 0, 2, number].into()
    }

    #[tokio::test(start_paused = true)]
    async fn of_one_address_few_bodies_are_awaited_and_not_for_long() {
        let awaited = Crowd::default();
        let begun: Vec<_> = (0..SMALL_BODIES_PER_ADDRESS.length())
            .map(|_| {
                let awaited = awaited.clone();
                let body = pending::<Result<(), BodyError>>();
                tokio::spawn(async move { read_of(&awaited, host(1), body).await })
            })
            .collect();
        // A runtime goes on to other work after some sixty tasks.
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        let start = tokio::time::Instant::now();
        let later = async {
            tokio::task::yield_now().await;
            Ok::<_, BodyError>(())
        };
        let refused = read_of(&awaited, host(1), later).await.unwrap_err();
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        let here = async { Ok::<_, BodyError>(()) };
        assert!(read_of(&awaited, host(1), here).await.is_ok());
        let other = async {
            tokio::task::yield_now().await;
            Ok::<_, BodyError>(())
        };
        assert!(read_of(&awaited, host(2), other).await.is_ok());
        for body in begun {
            let slow = body.await.unwrap().unwrap_err();
            assert_eq!(slow.status(), StatusCode::REQUEST_TIMEOUT);
        }
        assert_eq!(
            start.elapsed().as_millis(),
            u128::from(SMALL_BODY_TIME.milliseconds())
        );
    }
}
