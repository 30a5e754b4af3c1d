//! A session that has ended can do nothing, not even finish a request that began before.

use axum::body::{Body, Bytes};
use axum::http::header::{CONTENT_TYPE, ORIGIN};
use axum::http::{Request, StatusCode};
use futures_util::{future, stream};
use tokio::sync::mpsc;

use crate::browser::{Answer, Browser, Site, URL};

/// Sends the first bytes of a form, does something else, and sends the rest.
async fn slowly(
    browser: &mut Browser<'_>,
    path: &str,
    fields: &str,
    meanwhile: impl Future<Output = ()>,
) -> Answer {
    let (sender, receiver) = mpsc::channel::<Bytes>(1);
    let request = Request::post(path)
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(ORIGIN, URL);
    let body = Body::from_stream(stream::unfold(receiver, async |mut receiver| {
        Some((Ok::<_, std::io::Error>(receiver.recv().await?), receiver))
    }));
    let (first, rest) = fields.split_at(5);
    let (first, rest) = (
        Bytes::copy_from_slice(first.as_bytes()),
        Bytes::copy_from_slice(rest.as_bytes()),
    );
    let slow = async move {
        sender.send(first).await.unwrap();
        // There is room for one chunk: the third is taken once the server has read the first.
        sender.send(Bytes::new()).await.unwrap();
        sender.send(Bytes::new()).await.unwrap();
        meanwhile.await;
        sender.send(rest).await.unwrap();
    };
    future::join(browser.send(request, body), slow).await.0
}

#[tokio::test]
async fn a_form_whose_body_comes_after_this_was_not_me_does_nothing() {
    let site = Site::new().await;
    site.user("ana").await;
    let mut browser = site.browser();
    browser.log_in("ana").await;
    browser.keep_recovery_codes().await;
    let secret = browser.set_up_app().await;
    site.clock.advance_seconds(60);
    browser.step_up(&secret).await;
    let mut owner = site.browser();
    owner.cookies = browser.cookies.clone();
    let form = "description=thief&scope=account&expires=never";
    let made = slowly(&mut browser, "/account/tokens/create", form, async {}).await;
    assert_eq!(
        made.status,
        StatusCode::OK,
        "the same does something while the session lives: {}",
        made.body
    );
    let form = form.replace("thief", "another");
    let answer = slowly(&mut browser, "/account/tokens/create", &form, async {
        assert_eq!(
            owner.post("/account/secure", &[]).await.status,
            StatusCode::OK
        );
    })
    .await;
    assert_eq!(
        (answer.status, answer.location().split('?').next()),
        (StatusCode::SEE_OTHER, Some("/login"))
    );
    let ana = site.identity_of("ana").await;
    assert!(site.storage.tokens_of(ana).await.unwrap().is_empty());
}
