//! Generated contexts and settings.

use policy_engine::contract::{
    Action, Assurance, Change, Context, CredentialKind, Factor, FactorUse, Factors, File, FileKind,
    Method, PasswordState, Principal, Project, ProjectStatus, Publisher, Release, ReleaseState,
    Request, Role, RoleChange, Token, TokenScope, User, VersionOrder,
};
use policy_sdk::contract::{Setting, SettingKind, SettingValue};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Value, json};

fn text() -> impl Strategy<Value = String> {
    "[a-zäß0-9 ._-]{0,24}"
}

/// Ages around the limits that policies demand.
fn age() -> impl Strategy<Value = u64> {
    prop_oneof![
        Just(0),
        290..310u64,
        1_790..1_810u64,
        3_590..3_610u64,
        any::<u64>()
    ]
}

fn user() -> impl Strategy<Value = Principal> {
    (text(), age(), any::<(bool, bool)>(), 0..4u8).prop_map(
        |(name, age, (email_verified, staff), bits)| {
            let mut factors = Factors::empty();
            if bits & 1 != 0 {
                factors |= Factors::TOTP;
            }
            if bits & 2 != 0 {
                factors |= Factors::WEBAUTHN;
            }
            Principal::User(User {
                name,
                age,
                email_verified,
                factors,
                staff,
            })
        },
    )
}

fn principal() -> impl Strategy<Value = Principal> {
    let publisher = text().prop_map(|provider| {
        Principal::Publisher(Publisher {
            provider,
            claims: Vec::new(),
        })
    });
    prop_oneof![1 => Just(Principal::Anonymous), 4 => user(), 1 => publisher]
}

fn token() -> impl Strategy<Value = Token> {
    let scope = prop_oneof![
        Just(TokenScope::Account),
        vec(text(), 0..3).prop_map(TokenScope::Projects)
    ];
    let minted = (
        text(),
        age(),
        option::of(age()),
        scope,
        option::of(age()),
        any::<bool>(),
    );
    (minted, narrowing()).prop_map(
        |(
            (id, age, expires_in, scope, last_used, made_with_second_factor),
            (narrowed_to, narrowed_expires_in),
        )| Token {
            id,
            age,
            expires_in,
            scope,
            last_used,
            made_with_second_factor,
            narrowed_to,
            narrowed_expires_in,
        },
    )
}

/// A holder's offline restrictions of a token: the project names left, and the time.
pub(crate) fn narrowing() -> impl Strategy<Value = (Option<Vec<String>>, Option<u64>)> {
    (option::of(vec(text(), 0..3)), option::of(age()))
}

fn assurance() -> impl Strategy<Value = Assurance> {
    let second_factor = option::of(
        (select(Factor::ALL), age()).prop_map(|(factor, age)| FactorUse { factor, age }),
    );
    (option::of(age()), second_factor, select(PasswordState::ALL)).prop_map(
        |(password_age, second_factor, password_state)| Assurance {
            password_age,
            second_factor,
            password_state,
        },
    )
}

fn project() -> impl Strategy<Value = Project> {
    (
        text(),
        any::<bool>(),
        select(ProjectStatus::ALL),
        select(Role::ALL),
    )
        .prop_map(|(name, exists, status, role)| Project {
            name,
            exists,
            status,
            role,
            settings: Vec::new(),
        })
}

fn release() -> impl Strategy<Value = Release> {
    (
        text(),
        select(ReleaseState::ALL),
        age(),
        select(VersionOrder::ALL),
        option::of(text()),
        any::<(bool, bool)>(),
    )
        .prop_map(
            |(
                version,
                state,
                age,
                order,
                newest,
                (staged_by_this_credential, staged_by_this_user),
            )| Release {
                version,
                state,
                age,
                order,
                newest,
                staged_by_this_credential,
                staged_by_this_user,
            },
        )
}

fn request() -> impl Strategy<Value = Request> {
    (text(), text(), select(Method::ALL), text(), text()).prop_map(
        |(id, route, method, remote_address, user_agent)| Request {
            id,
            route,
            method,
            remote_address,
            user_agent,
        },
    )
}

fn file() -> impl Strategy<Value = File> {
    (text(), select(FileKind::ALL), any::<u64>()).prop_map(|(name, kind, size)| File {
        name,
        kind,
        size,
        sha256: "0a".repeat(32),
        blake2_256: "0b".repeat(32),
    })
}

fn change() -> impl Strategy<Value = Change> {
    let role = (text(), select(Role::ALL), select(Role::ALL)).prop_map(|(user, before, after)| {
        let factors = Factors::empty();
        Change::Role(RoleChange {
            user,
            before,
            after,
            factors,
        })
    });
    prop_oneof![
        Just(Change::Nothing),
        role,
        select(Factor::ALL).prop_map(Change::Factor)
    ]
}

/// Any context at all, sensible or not: a policy must answer each.
pub(crate) fn context() -> impl Strategy<Value = Context> {
    let who = (
        select(CredentialKind::ALL),
        principal(),
        option::of(token()),
        option::of(assurance()),
    );
    let what = (
        option::of(project()),
        option::of(release()),
        option::of(file()),
        change(),
    );
    (
        select(Action::ALL),
        any::<u64>(),
        option::of(request()),
        who,
        what,
    )
        .prop_map(
            |(
                action,
                now,
                request,
                (credential, principal, token, assurance),
                (project, release, file, change),
            )| Context {
                action,
                now,
                credential,
                request,
                principal,
                token,
                assurance,
                project,
                release,
                file,
                metadata: None,
                change,
            },
        )
}

/// A value for each of a policy's settings.
pub(crate) fn values(offered: Vec<Setting>) -> impl Strategy<Value = Vec<SettingValue>> {
    offered.into_iter().map(value).collect::<Vec<_>>()
}

fn value(setting: Setting) -> BoxedStrategy<SettingValue> {
    let any = match setting.kind {
        SettingKind::Boolean => any::<bool>().prop_map(SettingValue::Boolean).boxed(),
        SettingKind::Integer(range) | SettingKind::Seconds(range) => {
            let some = 300.clamp(range.minimum, range.maximum);
            prop_oneof![Just(some), range.minimum..=range.maximum]
                .prop_map(SettingValue::Integer)
                .boxed()
        }
        SettingKind::Text(_) => "[a-z]{0,8}".prop_map(SettingValue::Text).boxed(),
        SettingKind::Choice(words) => (0..u32::try_from(words.len()).unwrap())
            .prop_map(SettingValue::Choice)
            .boxed(),
        SettingKind::Texts(most) => vec("[a-z]{0,8}", 0..=most as usize)
            .prop_map(SettingValue::Texts)
            .boxed(),
        SettingKind::Actions => {
            subsequence(policy_sdk::Action::ALL, 0..=policy_sdk::Action::ALL.len())
                .prop_map(SettingValue::Actions)
                .boxed()
        }
    };
    prop_oneof![Just(setting.default), any].boxed()
}

/// The values in their written form, by name.
pub(crate) fn written(offered: &[Setting], values: &[SettingValue]) -> Value {
    let write = |(setting, value): (&Setting, &SettingValue)| {
        let written = match (value, &setting.kind) {
            (SettingValue::Boolean(on), _) => json!(on),
            (SettingValue::Integer(number), _) => json!(number),
            (SettingValue::Text(text), _) => json!(text),
            (SettingValue::Choice(position), SettingKind::Choice(words)) => {
                json!(words[*position as usize])
            }
            (SettingValue::Choice(_), kind) => panic!("a choice for {kind:?}"),
            (SettingValue::Texts(texts), _) => json!(texts),
            (SettingValue::Actions(actions), _) => {
                actions.iter().map(|action| action.as_str()).collect()
            }
        };
        (setting.name.clone(), written)
    };
    Value::Object(offered.iter().zip(values).map(write).collect())
}
