//! A code works once, whichever way it is sent and however many times, through two servers that
//! share a database.

use std::sync::Arc;

use gate::Refusal;
use identity::factors::{ConfirmRecoveryCodes, ConfirmTotp, GenerateRecoveryCodes, ProposeTotp};
use identity::{Account, Identity, Limits, LoginStep, RequestContext, Secret, StartedSession};
use model::Clock;
use model::time::ManualClock;
use proptest::prelude::*;
use tokio::sync::Barrier;

use crate::fixture::{Fixture, NOW, PASSWORD, code_at, limits, pending, user_name};
use crate::postgres;

/// A way to send a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    LogIn,
    StepUp,
    /// With the password, for one action.
    Person,
    /// On the command line, for a token.
    Token,
}

const WAYS: [Way; 4] = [Way::LogIn, Way::StepUp, Way::Person, Way::Token];

#[derive(Clone, Debug)]
enum Move {
    Wait(i64),
    /// Send the code of the step at this distance from the current one, by a way and a server.
    Send(i64, Way, usize),
    /// Send it by every way to every server at once.
    SendAtOnce(i64),
}

fn moves() -> impl Strategy<Value = (i64, Vec<Move>)> {
    let wait = prop_oneof![Just(1), Just(29), Just(30), Just(31), 0..120_i64].prop_map(Move::Wait);
    let way = proptest::sample::select(WAYS.as_slice());
    let send = (-3..=3_i64, way, 0..2_usize)
        .prop_map(|(offset, way, server)| Move::Send(offset, way, server));
    let at_once = (-1..=1_i64).prop_map(Move::SendAtOnce);
    (
        -1..=1_i64,
        proptest::collection::vec(prop_oneof![2 => wait, 6 => send, 1 => at_once], 1..16),
    )
}

/// Two servers on one database.
struct Servers([Arc<Fixture>; 2]);

impl Servers {
    async fn at(url: &str) -> Self {
        let clock = Arc::new(ManualClock::at(NOW));
        let server = || async {
            let unlimited = Limits {
                totp_per_user: Vec::new(),
                totp_per_address: Vec::new(),
                password_per_user: Vec::new(),
                password_per_address: Vec::new(),
                ..limits(1000)
            };
            Arc::new(
                Fixture::at(
                    url,
                    tempfile::tempdir().unwrap(),
                    clock.clone(),
                    "",
                    |config| config.limits = unlimited,
                )
                .await,
            )
        };
        Self([server().await, server().await])
    }
}

/// A user with an app and a known browser, and the state of the app's codes.
struct Person {
    name: String,
    secret: Secret<String>,
    session: StartedSession,
    device: Secret<String>,
    /// The newest step with an accepted code.
    last: i64,
}

impl Person {
    /// Enrolls an app with the code of the step at this distance from the current one.
    async fn enroll(server: &Fixture, name: String, offset: i64) -> Self {
        let user = server.user(&name).await;
        let session = server.logged_in(&name).await;
        let codes = server
            .identity
            .factors()
            .generate_recovery_codes(
                server
                    .permit(GenerateRecoveryCodes {
                        account: Account::at_the_server(user),
                    })
                    .await,
            )
            .await
            .unwrap();
        let confirm = ConfirmRecoveryCodes {
            account: Account::at_the_server(user),
            code: codes[0].expose().clone(),
        };
        server
            .identity
            .factors()
            .confirm_recovery_codes(server.permit(confirm).await)
            .await
            .unwrap();
        let own_session = server.own_session(user, session.session).await;
        let propose = ProposeTotp {
            session: own_session,
        };
        let proposed = server
            .identity
            .factors()
            .propose_totp_for(server.permit(propose).await)
            .await
            .unwrap();
        let last = step_now(server) + offset;
        let code = code_at(&proposed.secret, last * 30);
        let confirm = ConfirmTotp {
            session: own_session,
            ceremony: proposed.ceremony.expose().clone(),
            code,
        };
        server
            .identity
            .factors()
            .confirm_totp(server.permit(confirm).await)
            .await
            .unwrap();
        let device = session.device.clone().unwrap();
        Self {
            name,
            secret: proposed.secret,
            session,
            device,
            last,
        }
    }

    /// Whether the code was accepted; a session that stepped up has another cookie.
    async fn send(&self, server: &Fixture, way: Way, code: &str) -> (bool, Option<StartedSession>) {
        let attempt = server.attempt();
        let (identity, gate): (&Identity, _) = (&server.identity, &server.gate);
        match way {
            Way::LogIn => {
                let waiting = pending(
                    server
                        .log_in(&self.name, PASSWORD, Some(self.device.expose()))
                        .await
                        .unwrap(),
                );
                let step = identity
                    .logins()
                    .with_totp(
                        RequestContext::new(gate, &attempt),
                        waiting.expose(),
                        code,
                        Some(self.device.expose()),
                    )
                    .await;
                (matches!(accepted(step), Some(LoginStep::Started(_))), None)
            }
            Way::StepUp => {
                let caller = server.present_session(&self.session.secret).await;
                // None if another of several simultaneous requests was faster.
                if caller.session.is_none() {
                    return (false, None);
                }
                let risen = accepted(
                    identity
                        .step_ups()
                        .with_totp(
                            RequestContext::new(gate, &attempt),
                            &caller,
                            self.session.secret.expose(),
                            code,
                        )
                        .await,
                );
                (risen.is_some(), risen)
            }
            Way::Person => (
                server.prove(&self.name, PASSWORD, Some(code)).await.is_ok(),
                None,
            ),
            Way::Token => (
                identity
                    .tokens()
                    .prove_second_factor(&user_name(&self.name), code)
                    .await
                    .is_ok(),
                None,
            ),
        }
    }
}

/// A code that was not accepted was called wrong; anything else is an error.
fn accepted<T>(result: Result<T, Refusal>) -> Option<T> {
    result
        .map_err(|refusal| {
            assert!(
                ["wrong-code", "login-expired", "session-ended"]
                    .contains(&refusal.reasons[0].code.as_str()),
                "{refusal:?}"
            )
        })
        .ok()
}

fn step_now(server: &Fixture) -> i64 {
    server.clock.now().seconds().div_euclid(30)
}

async fn play(
    servers: &Servers,
    name: String,
    (enrolled_with, moves): (i64, Vec<Move>),
) -> Result<(), TestCaseError> {
    let mut person = Person::enroll(&servers.0[0], name, enrolled_with).await;
    for step in moves {
        let now = step_now(&servers.0[0]);
        // Six digits sometimes repeat; skip such a coincidence.
        let is_unique = |secret: &Secret<String>, code: &str| {
            (-4..=4)
                .filter(|other| code_at(secret, (now + other) * 30) == code)
                .count()
                == 1
        };
        match step {
            Move::Wait(seconds) => servers.0[0].clock.advance_seconds(seconds),
            Move::Send(offset, way, server) => {
                let code = code_at(&person.secret, (now + offset) * 30);
                if !is_unique(&person.secret, &code) {
                    continue;
                }
                let (accepted, risen) = person.send(&servers.0[server], way, &code).await;
                prop_assert_eq!(
                    accepted,
                    offset.abs() <= 1 && now + offset > person.last,
                    "step {} by {:?} after {}",
                    now + offset,
                    way,
                    person.last
                );
                if accepted {
                    person.last = now + offset;
                }
                person.session = risen.unwrap_or(person.session);
            }
            Move::SendAtOnce(offset) => {
                let code = code_at(&person.secret, (now + offset) * 30);
                if !is_unique(&person.secret, &code) {
                    continue;
                }
                let before = person.last;
                let count = send_at_once(servers, &mut person, &code).await;
                // A login that succeeds voids another pending one, so it may be that only the loser
                // of both got in; never more than one.
                prop_assert!(
                    count <= 1,
                    "step {} was accepted {} times at once",
                    now + offset,
                    count
                );
                prop_assert!(count == 0 || now + offset > before);
                // Used up by the request that got it, even if that failed later.
                person.last = before.max(now + offset);
            }
        }
    }
    Ok(())
}

/// How many requests had the code accepted, of all ways through both servers.
async fn send_at_once(servers: &Servers, person: &mut Person, code: &str) -> usize {
    let start = Arc::new(Barrier::new(2 * WAYS.len()));
    let shared = Arc::new(Person {
        name: person.name.clone(),
        secret: person.secret.clone(),
        session: person.session.clone(),
        device: person.device.clone(),
        last: person.last,
    });
    let mut tasks = Vec::new();
    for (server, way) in servers
        .0
        .iter()
        .flat_map(|server| WAYS.map(|way| (server.clone(), way)))
    {
        let (start, shared, code) = (start.clone(), shared.clone(), code.to_owned());
        tasks.push(tokio::spawn(async move {
            start.wait().await;
            shared.send(&server, way, &code).await
        }));
    }
    let mut count = 0;
    for task in tasks {
        let (accepted, risen) = task.await.unwrap();
        count += usize::from(accepted);
        person.session = risen.unwrap_or_else(|| person.session.clone());
    }
    count
}

fn no_sequence_has_a_step_accepted_twice(url: &str, cases: u32) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let servers = runtime.block_on(Servers::at(url));
    let numbers = std::cell::Cell::new(0);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(cases));
    runner
        .run(&moves(), |moves| {
            numbers.set(numbers.get() + 1);
            runtime.block_on(play(&servers, format!("user{}", numbers.get()), moves))
        })
        .unwrap();
}

#[test]
fn no_sequence_of_codes_by_any_way_has_a_step_accepted_twice() {
    let folder = tempfile::tempdir().unwrap();
    no_sequence_has_a_step_accepted_twice(
        &format!("sqlite:{}", folder.path().join("shared.sqlite").display()),
        24,
    );
}

#[test]
fn no_sequence_of_codes_by_any_way_has_a_step_accepted_twice_on_postgresql() {
    if let Some(database) = postgres::new_database() {
        no_sequence_has_a_step_accepted_twice(&database.url, 16);
    }
}

#[tokio::test]
async fn the_code_that_enrolled_an_app_logs_nobody_in() {
    let server = Fixture::new().await;
    let person = Person::enroll(&server, "ana".to_owned(), 0).await;
    let code = code_at(&person.secret, person.last * 30);
    for way in WAYS {
        assert!(!person.send(&server, way, &code).await.0, "{way:?}");
    }
    let next = code_at(&person.secret, (person.last + 1) * 30);
    assert!(person.send(&server, Way::Person, &next).await.0);
}
