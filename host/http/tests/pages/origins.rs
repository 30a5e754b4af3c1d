//! Requests of browsers: their origin, the requested name, their cookies, and what pages may do.

use axum::body::Body;
use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, COOKIE, HOST, LOCATION,
    ORIGIN, REFERRER_POLICY, SET_COOKIE, VARY,
};
use axum::http::{Request, StatusCode};

use crate::browser::{Answer, Browser, PASSWORD, Site, URL};
use crate::snapshots::check;

const FORM: &str = "application/x-www-form-urlencoded";

async fn post(browser: &mut Browser<'_>, path: &str, said: &[(&str, &str)], body: &str) -> Answer {
    let request = said.iter().fold(
        Request::post(path).header(CONTENT_TYPE, FORM),
        |request, (name, value)| request.header(*name, *value),
    );
    browser.send(request, Body::from(body.to_owned())).await
}

#[tokio::test]
async fn a_form_counts_only_when_it_was_sent_by_a_page_of_this_registry() {
    let site = Site::new().await;
    site.user("ana").await;
    let login = format!("user=ana&password={}", PASSWORD.replace(' ', "+"));
    let mut pages = Vec::new();
    for said in [
        &[][..],
        &[("sec-fetch-site", "none")],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[("origin", "null")],
        &[("origin", "https://evil.example")],
        &[("origin", "http://index.example")],
        &[("origin", "https://index.example:8443")],
        &[
            ("origin", "https://evil.example"),
            ("sec-fetch-site", "same-origin"),
        ],
    ] {
        let mut browser = site.browser();
        let answer = post(&mut browser, "/login", said, &login).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{said:?}");
        assert!(
            !browser.is_logged_in() && !answer.headers.contains_key(SET_COOKIE),
            "{said:?}"
        );
        pages.push((format!("{said:?}"), answer));
    }
    check("form-not-of-a-page-of-this-registry", &pages);
    for said in [
        &[("origin", URL)][..],
        &[("sec-fetch-site", "same-origin")],
        &[("origin", URL), ("sec-fetch-site", "same-origin")],
    ] {
        let mut browser = site.browser();
        assert_eq!(
            post(&mut browser, "/login", said, &login).await.status,
            StatusCode::SEE_OTHER,
            "{said:?}"
        );
        assert!(browser.is_logged_in());
    }
}

#[tokio::test]
async fn a_session_acts_nowhere_for_a_page_of_another_site() {
    let site = Site::new().await;
    site.user("ana").await;
    let mut browser = site.browser();
    browser.log_in("ana").await;
    let mut answers = Vec::new();
    for path in [
        "/account/sessions/end-others",
        "/logout",
        "/account/secure",
        "/legacy/",
        "/api/projects/demo/releases/1.0/publish",
    ] {
        for said in [&[][..], &[("origin", "https://evil.example")]] {
            let answer = post(&mut browser, path, said, "").await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path} {said:?}");
            answers.push((format!("{said:?}"), answer));
        }
    }
    check("session-of-a-page-of-another-site", &answers);
    assert_eq!(
        browser.get("/account/").await.status,
        StatusCode::OK,
        "and nothing happened"
    );
}

#[tokio::test]
async fn upload_clients_need_not_say_where_they_come_from() {
    let site = Site::new().await;
    let answer = post(&mut site.browser(), "/legacy/", &[], "").await;
    assert!(
        !answer.body.contains("did not say which page"),
        "{}",
        answer.body
    );
}

#[tokio::test]
async fn a_password_that_the_browser_sends_by_itself_is_no_proof_of_where_a_form_is_from() {
    let site = Site::new().await;
    let mut answers = Vec::new();
    for (authorization, is_told) in [
        ("Basic YW5hOnB3", true),
        ("basic YW5hOnB3", true),
        ("Bearer pypi-AgEIcHlwaS5vcmc", false),
    ] {
        let answer = post(
            &mut site.browser(),
            "/account/secure",
            &[("authorization", authorization)],
            "",
        )
        .await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{authorization}");
        assert_eq!(
            answer.body.contains("did not say which page"),
            is_told,
            "{authorization}: {}",
            answer.body
        );
        answers.push((authorization.to_owned(), answer));
    }
    check("form-with-an-authorization", &answers);
}

#[tokio::test]
async fn a_header_wins_over_the_cookie() {
    let site = Site::new().await;
    site.user("ana").await;
    let mut browser = site.browser();
    browser.log_in("ana").await;
    let answer = browser
        .send(
            Request::get("/account/").header(AUTHORIZATION, "Bearer pypi-AgEIcHlwaS5vcmc"),
            Body::empty(),
        )
        .await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN, "{}", answer.body);
    assert!(!answer.body.contains("Log out"), "the header is no session");
    assert_eq!(browser.get("/account/").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_dead_session_is_nobody_and_its_cookie_is_taken_away() {
    let site = Site::new().await;
    site.user("ana").await;
    let stranger = site.browser().get("/").await;
    stranger.check("front");
    for value in ["A".repeat(43), "A".to_owned(), "x".repeat(63)] {
        let mut browser = site.browser();
        browser
            .cookies
            .push(("__Host-portcullis-session".to_owned(), value));
        let answer = browser.get("/").await;
        assert_eq!(
            (answer.status, &answer.body),
            (StatusCode::OK, &stranger.body)
        );
        assert!(!browser.is_logged_in());
    }
    let mut browser = site.browser();
    browser.log_in("ana").await;
    site.clock.advance_seconds(13 * 3600);
    let answer = browser.get("/account/").await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    assert!(
        answer.location().contains("notice=session-ended"),
        "{}",
        answer.location()
    );
}

#[tokio::test]
async fn a_cookie_that_was_sent_twice_counts_as_none() {
    let site = Site::new().await;
    site.user("ana").await;
    let mut browser = site.browser();
    browser.log_in("ana").await;
    let session = browser
        .cookies
        .iter()
        .find(|(name, _)| name == "__Host-portcullis-session")
        .unwrap()
        .1
        .clone();
    let sent = async |cookie: String| {
        site.browser()
            .send(Request::get("/").header(COOKIE, cookie), Body::empty())
            .await
    };
    assert!(
        sent(format!("a=b; __Host-portcullis-session={session}"))
            .await
            .body
            .contains("Log out")
    );
    let other = "A".repeat(43);
    for cookie in [
        format!("__Host-portcullis-session={session}; __Host-portcullis-session={other}"),
        format!("portcullis-session={session}"),
        format!("__Host-portcullis-sessions={session}"),
    ] {
        assert!(
            !sent(cookie.clone()).await.body.contains("Log out"),
            "{cookie}"
        );
    }
}

#[tokio::test]
async fn a_page_under_another_name_leads_to_the_public_address_and_to_no_other() {
    let site = Site::new().await;
    let get = async |path: &str, host: &str, accept: &str| {
        let request = Request::get(path)
            .header(HOST, host)
            .header("accept", accept);
        let response = site.browser().send(request, Body::empty()).await;
        (
            response.status,
            response
                .headers
                .get(LOCATION)
                .map(|location| location.to_str().unwrap().to_owned()),
        )
    };
    for host in [
        "evil.example",
        "127.0.0.1:8080",
        "index.example.evil.example",
        "index.example:8443",
    ] {
        for path in ["/", "/projects/?q=a%20b", "/login", "/help/"] {
            assert_eq!(
                get(path, host, "text/html").await,
                (StatusCode::TEMPORARY_REDIRECT, Some(format!("{URL}{path}"))),
                "{host}"
            );
        }
        // Programs are not redirected.
        assert_eq!(get("/", host, "*/*").await.0, StatusCode::OK);
        assert_eq!(get("/simple/", host, "text/html").await.0, StatusCode::OK);
    }
    for host in ["index.example", "INDEX.example", "index.example:443"] {
        assert_eq!(
            get("/", host, "text/html").await.0,
            StatusCode::OK,
            "{host}"
        );
    }
    // Behind a proxy that hides the name, browsers are not redirected endlessly.
    let mut browser = site.browser();
    let request = || Request::get("/").header(HOST, "backend:8080");
    assert_eq!(
        browser.send(request(), Body::empty()).await.status,
        StatusCode::TEMPORARY_REDIRECT
    );
    assert_eq!(
        browser.send(request(), Body::empty()).await.status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn pages_may_do_what_they_need_and_no_more() {
    let site = Site::new().await;
    site.user("ana").await;
    let mut browser = site.browser();
    browser.log_in("ana").await;
    let page = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
    let copying = page.replace("img-src 'self';", "img-src 'self'; script-src 'self';");
    let paths = [
        "/projects/",
        "/account/tokens/",
        "/account/emails/",
        "/nothing-here",
    ]
    .map(|path| (path, false));
    for (path, copies) in paths
        .into_iter()
        .chain(["/", "/help/", "/account/"].map(|path| (path, true)))
    {
        let answer = browser.get(path).await;
        assert_eq!(
            answer.headers[CONTENT_SECURITY_POLICY],
            if copies { &*copying } else { page },
            "{path}"
        );
        // With `no-referrer`, browsers would send `Origin: null` with forms.
        assert_eq!(answer.headers[REFERRER_POLICY], "same-origin", "{path}");
        let scripts = answer.body.matches("<script").count();
        assert!(
            scripts == usize::from(copies) && !answer.body.contains(" style="),
            "{path}"
        );
        assert_eq!(
            answer
                .body
                .contains("<script src=\"/static/copy.js\" defer></script>"),
            copies,
            "{path}"
        );
        if path != "/help/" {
            assert_eq!(answer.headers[CACHE_CONTROL], "no-store", "{path}");
        }
    }
    let login = site.browser().get("/login").await;
    assert!(
        login.headers[CONTENT_SECURITY_POLICY]
            .to_str()
            .unwrap()
            .contains("script-src 'self'; connect-src 'self'")
    );
    assert!(
        login
            .body
            .contains("<script src=\"/static/webauthn.js\" defer></script>")
            && login.body.matches("<script").count() == 1
    );
    let simple = browser.get("/simple/").await;
    assert!(
        simple.headers[CONTENT_SECURITY_POLICY]
            .to_str()
            .unwrap()
            .contains("form-action 'none'")
    );
    assert!(
        simple.headers[CACHE_CONTROL]
            .to_str()
            .unwrap()
            .starts_with("private"),
        "for whoever has a session"
    );
    assert!(
        simple
            .headers
            .get_all(VARY)
            .iter()
            .any(|vary| vary.to_str().unwrap().contains("Cookie"))
    );
}

#[tokio::test]
async fn a_refusal_is_a_page_with_the_button_that_mends_it() {
    let site = Site::new().await;
    site.user("ana").await;
    let mut browser = site.browser();
    browser.log_in("ana").await;
    let answer = browser.get("/account/tokens/create").await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    answer.check("refusal-with-a-remedy");

    let answer = site.browser().get("/nothing-here").await;
    answer.check("not-found");
    assert!(answer.headers.get(ORIGIN).is_none());
}

/// A link from elsewhere must not tell people that something was done.
#[tokio::test]
async fn what_was_done_is_told_on_the_way_from_a_page_of_ours_only() {
    let site = Site::new().await;
    let mut browser = site.browser();
    let told = browser.get("/login?notice=logged-out").await;
    told.check("login-logged-out");
    let untold = browser.get("/login").await;
    assert_ne!(told.body, untold.body);
    for (from, expected) in [
        ("same-origin", &told),
        ("cross-site", &untold),
        ("none", &untold),
        ("same-site", &untold),
    ] {
        let request = Request::get("/login?notice=logged-out").header("sec-fetch-site", from);
        let answer = browser.send(request, Body::empty()).await;
        assert_eq!(answer.body, expected.body, "{from}");
    }
    let request = Request::get("/login?notice=log-in").header("sec-fetch-site", "cross-site");
    let answer = browser.send(request, Body::empty()).await;
    answer.check("login-to-continue");
}
