//! How many entries of one source are recorded one by one.
//!
//! A refused request, an accepted token and a permitted read cost their sender little, but would
//! each cost the registry a row. So only a number of them per minute and per day is recorded one by
//! one, for each source and for all sources together. Further ones are counted, and the count is
//! audited after the minute. So a flood can neither fill the disk nor go unnoticed.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard};

use model::limit::{
    NAMED_FAILURES, NAMED_WAITS, READERS, READERS_OF_ALL, RECORDED_FIRSTS, RECORDED_OF_ALL, Rate,
};
use model::{Action, Caller, Principal, SessionId, Timestamp, TokenId, UserId};
use uuid::Uuid;

/// Most sources named in the summary of a minute, those with most entries first.
const NAMED_SOURCES: usize = 10;
/// Sources that are counted to find those: any with more than one in this many entries is among
/// them.
const COUNTED_SOURCES: usize = 256;

const MINUTE: u32 = 60;
const HOUR: u32 = 3600;
const DAY: u32 = 86_400;

/// How somebody failed: why, and with which second factor, if any.
pub(crate) type Way = (&'static str, Option<&'static str>);

/// Failed authentications that name an account, in this minute, for each account and for all
/// together.
pub(crate) struct NamedFailures {
    per_account: u32,
    of_all: u32,
    of_all_in_day: u32,
    state: Mutex<Named>,
}

#[derive(Default)]
struct Named {
    minute: i64,
    /// How many for each account and way. It is bounded: the accounts exist, and the ways are a
    /// fixed list.
    seen: HashMap<(UserId, Way), u32>,
    recorded: u32,
    day: i64,
    recorded_in_day: u32,
}

impl NamedFailures {
    /// For failures that were checked: more than the limits let through, however many other
    /// refusals there are. A flood cannot hide guesses at an account, not even a flood of other
    /// failures that name it.
    pub(crate) fn looked_at() -> Self {
        Self::new(NAMED_FAILURES)
    }

    /// For attempts that were refused unchecked, since there were too many.
    pub(crate) fn limited() -> Self {
        Self::new(NAMED_WAITS)
    }

    fn new(rate: Rate) -> Self {
        let of_all = |window| rate.in_window(window).saturating_mul(RECORDED_OF_ALL.get());
        Self {
            per_account: rate.in_window(MINUTE),
            of_all: of_all(MINUTE),
            of_all_in_day: of_all(DAY),
            state: Mutex::default(),
        }
    }

    /// Whether to record one more for this account.
    pub(crate) fn take(&self, user: UserId, way: Way, now: Timestamp) -> bool {
        let mut state = self
            .state
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        let (minute, day) = (
            now.seconds().div_euclid(i64::from(MINUTE)),
            now.seconds().div_euclid(i64::from(DAY)),
        );
        if minute > state.minute {
            (state.minute, state.seen, state.recorded) = (minute, HashMap::new(), 0);
        }
        if day > state.day {
            (state.day, state.recorded_in_day) = (day, 0);
        }
        if state.recorded >= self.of_all || state.recorded_in_day >= self.of_all_in_day {
            return false;
        }
        let seen = state.seen.entry((user, way)).or_default();
        *seen = seen.saturating_add(1);
        let is_wanted = *seen <= self.per_account;
        state.recorded += u32::from(is_wanted);
        state.recorded_in_day += u32::from(is_wanted);
        is_wanted
    }
}

/// Notes a few times in an hour at most: credentials that came with reads.
#[derive(Default)]
pub(crate) struct Noted(Mutex<(i64, HashMap<NotedOnce, u32>)>);

/// Its owner or address, the token, the action, and whether the read went on without it.
type NotedOnce = (Source, Option<TokenId>, Action, bool);

impl Noted {
    /// Whether to note this one. Memory is bounded by what all sources together may note.
    pub(crate) fn take(&self, what: NotedOnce, now: Timestamp) -> bool {
        let mut state = self
            .0
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        let hour = now.seconds().div_euclid(i64::from(HOUR));
        if hour > state.0 {
            *state = (hour, HashMap::new());
        }
        if state.1.len() >= READERS_OF_ALL.length() && !state.1.contains_key(&what) {
            return false;
        }
        let noted = state.1.entry(what).or_default();
        *noted = noted.saturating_add(1);
        *noted <= READERS.in_window(HOUR)
    }
}

/// The token or session by which something is done: each account has few.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Means {
    token: Option<TokenId>,
    session: Option<SessionId>,
}

impl Means {
    pub(crate) fn of(caller: &Caller) -> Self {
        Self {
            token: caller.token_id(),
            session: caller.session,
        }
    }
}

/// The source that entries are counted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Source {
    User(UserId),
    Publisher(Uuid),
    /// A user's changes of one kind.
    Changes(UserId, Action),
    /// An address; for IPv6 the /64, all of which one subscriber has.
    Address(IpAddr),
}

impl Source {
    pub(crate) fn of(address: IpAddr, caller: &Caller) -> Self {
        match (&caller.principal, address) {
            (Principal::User(user), _) => Self::User(user.id),
            (Principal::Publisher { id, .. }, _) => Self::Publisher(*id),
            (Principal::Anonymous, IpAddr::V4(_)) => Self::Address(address),
            (Principal::Anonymous, IpAddr::V6(long)) => {
                let [a, b, c, d, ..] = long.segments();
                Self::Address(IpAddr::V6([a, b, c, d, 0, 0, 0, 0].into()))
            }
        }
    }

    pub(crate) fn is_stranger(self) -> bool {
        matches!(self, Self::Address(_))
    }

    fn describe(self) -> String {
        match self {
            Self::User(user) => format!("user {user}"),
            Self::Publisher(publisher) => format!("publisher {publisher}"),
            Self::Changes(user, action) => format!("{action} by user {user}"),
            Self::Address(address) => address.to_string(),
        }
    }
}

/// The entries of one minute that were counted instead of recorded one by one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Uncounted {
    /// When the minute began.
    pub(crate) minute: Timestamp,
    /// How many.
    pub(crate) left_out: u64,
    /// The sources with most entries, with all their entries of the minute.
    pub(crate) sources: Vec<(String, u32)>,
}

/// How much is recorded one by one, for each source and for all.
pub(crate) struct SourceRate {
    per_minute: u32,
    per_day: u32,
    /// The limit for all sources together, as a multiple of the limit for one.
    of_all: u32,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    minute: Window,
    day: Window,
    /// The hour, and the actions seen in it, for accounts and for addresses that were recorded.
    firsts: (i64, HashMap<Source, HashSet<(Means, Action)>>),
    left_out: u64,
    busiest: Busiest,
    /// Minutes that are over and not yet reported.
    over: Vec<Uncounted>,
}

/// One window, which starts again when it is over.
#[derive(Default)]
struct Window {
    number: i64,
    seen: HashMap<Source, u32>,
    recorded: u32,
}

impl Window {
    /// Whether one more entry of this source fits.
    fn has_room(&self, source: Source, per_source: u32, of_all: u32) -> bool {
        self.recorded < per_source.saturating_mul(of_all)
            && self.seen.get(&source).is_none_or(|seen| *seen < per_source)
    }

    /// Counts one more. An entry that is not recorded is only counted for a known source, so that
    /// the limit for all sources together also bounds the map.
    fn count(&mut self, source: Source, is_recorded: bool) {
        if is_recorded {
            self.recorded += 1;
            *self.seen.entry(source).or_default() += 1;
        } else if let Some(seen) = self.seen.get_mut(&source) {
            *seen = seen.saturating_add(1);
        }
    }
}

/// The sources with most entries in this minute, recorded or not: using up its entries of a day
/// does not make a source anonymous. Memory is bounded by the algorithm "Space-Saving" (Metwally,
/// Agrawal, El Abbadi 2005): a count may be too high, by the count it replaced, but never too low.
#[derive(Debug, Default)]
struct Busiest(HashMap<Source, u32>);

impl Busiest {
    fn count(&mut self, source: Source) {
        if let Some(seen) = self.0.get_mut(&source) {
            *seen = seen.saturating_add(1);
            return;
        }
        let forgotten = match self.0.len() < COUNTED_SOURCES {
            true => None,
            false => self
                .0
                .iter()
                .min_by_key(|(source, seen)| (**seen, **source))
                .map(|(source, seen)| (*source, *seen)),
        };
        if let Some((rarest, _)) = forgotten {
            self.0.remove(&rarest);
        }
        self.0.insert(
            source,
            forgotten.map_or(1, |(_, seen)| seen.saturating_add(1)),
        );
    }

    /// The sources with most entries, with all their entries.
    fn told(self) -> Vec<(String, u32)> {
        let mut sources: Vec<(Source, u32)> = self.0.into_iter().collect();
        sources.sort_by_key(|(source, seen)| (std::cmp::Reverse(*seen), *source));
        sources.truncate(NAMED_SOURCES);
        sources
            .into_iter()
            .map(|(source, seen)| (source.describe(), seen))
            .collect()
    }
}

impl SourceRate {
    pub(crate) fn new(rate: Rate) -> Self {
        Self::with(rate.in_window(MINUTE), rate.in_window(DAY))
    }

    pub(crate) fn with(per_minute: u32, per_day: u32) -> Self {
        Self {
            per_minute,
            per_day,
            of_all: RECORDED_OF_ALL.get(),
            state: Mutex::default(),
        }
    }

    /// Without a limit for all together: for few sources, such as existing accounts.
    pub(crate) fn of_each(rate: Rate) -> Self {
        Self {
            of_all: u32::MAX,
            ..Self::new(rate)
        }
    }

    /// Whether to record one more entry of this source.
    pub(crate) fn take(&self, source: Source, now: Timestamp) -> bool {
        self.take_as(source, None, now)
    }

    /// The same, but the first of each action in an hour is always recorded, so that many entries
    /// cannot hide one, nor an owner's entries those of a stolen token.
    pub(crate) fn take_first(
        &self,
        source: Source,
        means: Means,
        action: Action,
        now: Timestamp,
    ) -> bool {
        self.take_as(source, Some((means, action)), now)
    }

    fn take_as(&self, source: Source, first: Option<(Means, Action)>, now: Timestamp) -> bool {
        let mut state = self.state();
        state.turn(now);
        state.busiest.count(source);
        let is_recorded = state.minute.has_room(source, self.per_minute, self.of_all)
            && state.day.has_room(source, self.per_day, self.of_all);
        // It stays bounded: accounts are few, and addresses must have been recorded before.
        let is_known = is_recorded
            || !source.is_stranger()
            || state.minute.seen.contains_key(&source)
            || state.day.seen.contains_key(&source);
        let is_first = first.filter(|_| is_known).is_some_and(|first| {
            let firsts = state.firsts.1.entry(source).or_default();
            (firsts.len() as u64) < u64::from(RECORDED_FIRSTS.in_window(HOUR))
                && firsts.insert(first)
        });
        state.minute.count(source, is_recorded);
        if is_recorded {
            // A day counts its recorded entries only, not those of a short flood.
            state.day.count(source, true);
        } else if !is_first {
            state.left_out += 1;
        }
        is_recorded || is_first
    }

    /// The entries left out in minutes that are over, each minute once.
    pub(crate) fn finish(&self, now: Timestamp) -> Vec<Uncounted> {
        let mut state = self.state();
        state.turn(now);
        std::mem::take(&mut state.over)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Counts are never half changed, so they are still valid after a panic.
        self.state
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl State {
    fn turn(&mut self, now: Timestamp) {
        let number = now.seconds().div_euclid(i64::from(MINUTE));
        if number <= self.minute.number {
            return;
        }
        let minute = std::mem::replace(
            &mut self.minute,
            Window {
                number,
                ..Window::default()
            },
        );
        let busiest = std::mem::take(&mut self.busiest);
        let left_out = std::mem::take(&mut self.left_out);
        let hour = now.seconds().div_euclid(i64::from(HOUR));
        if hour > self.firsts.0 {
            self.firsts = (hour, HashMap::new());
        }
        if left_out > 0 {
            let minute = Timestamp::from_seconds(minute.number * i64::from(MINUTE));
            self.over.push(Uncounted {
                minute,
                left_out,
                sources: busiest.told(),
            });
        }
        let day = now.seconds().div_euclid(i64::from(DAY));
        if day > self.day.number {
            self.day = Window {
                number: day,
                ..Window::default()
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use model::limit::CHANGES;

    use super::*;

    fn address(last: u8) -> Source {
        Source::Address(IpAddr::from([192, 0, 2, last]))
    }

    #[test]
    fn one_source_cannot_use_up_what_another_may_record() {
        let rate = SourceRate::with(3, 100);
        let now = Timestamp::from_seconds(60);
        let recorded = (0..100).filter(|_| rate.take(address(1), now)).count();
        assert_eq!(recorded, 3);
        assert!(rate.take(address(2), now));
    }

    #[test]
    fn all_sources_together_are_bounded_and_so_is_what_is_kept_of_them() {
        let rate = SourceRate::with(1, 10);
        let now = Timestamp::from_seconds(60);
        let recorded = (0..=255)
            .filter(|&last| rate.take(address(last), now))
            .count();
        assert_eq!(recorded, RECORDED_OF_ALL.length());
        assert_eq!(rate.state().minute.seen.len(), RECORDED_OF_ALL.length());
    }

    #[test]
    fn nobody_hides_what_an_account_does_by_using_up_what_all_may_record() {
        let rate = SourceRate::with(1, 100);
        let now = Timestamp::from_seconds(60);
        for last in 0..RECORDED_OF_ALL.length() {
            assert!(rate.take(address(u8::try_from(last).unwrap()), now));
        }
        let victim = Source::User(UserId::new());
        assert!(!rate.take(victim, now));
        assert!(rate.take_first(victim, Means::default(), Action::FileUpload, now));
        assert!(
            !rate.take_first(victim, Means::default(), Action::FileUpload, now),
            "once in an hour"
        );
        assert!(
            !rate.take_first(address(200), Means::default(), Action::FileUpload, now),
            "addresses are many"
        );
    }

    #[test]
    fn what_is_left_out_is_told_once_when_the_minute_is_over() {
        let rate = SourceRate::with(2, 100);
        for _ in 0..5 {
            rate.take(address(7), Timestamp::from_seconds(61));
        }
        assert_eq!(rate.finish(Timestamp::from_seconds(119)), []);
        let told = rate.finish(Timestamp::from_seconds(120));
        assert_eq!(
            told,
            [Uncounted {
                minute: Timestamp::from_seconds(60),
                left_out: 3,
                sources: vec![("192.0.2.7".into(), 5)]
            }]
        );
        assert_eq!(rate.finish(Timestamp::from_seconds(121)), []);
        assert!(
            rate.take(address(7), Timestamp::from_seconds(121)),
            "a new minute begins with a clean slate"
        );
    }

    #[test]
    fn who_used_up_the_day_is_named_all_the_same() {
        let rate = SourceRate::with(100, 100);
        for minute in 1..4 {
            for number in 0..=255 {
                rate.take(address(number), Timestamp::from_seconds(minute * 60));
            }
            for _ in 0..150 {
                rate.take(address(7), Timestamp::from_seconds(minute * 60 + 1));
            }
            let told = rate.finish(Timestamp::from_seconds(minute * 60 + 60));
            assert_eq!(
                told[0].sources[0],
                ("192.0.2.7".to_owned(), 151),
                "minute {minute}"
            );
        }
    }

    #[test]
    fn in_a_crowd_the_busiest_are_named_and_what_is_kept_is_bounded() {
        let rate = SourceRate::with(1, 1);
        let now = Timestamp::from_seconds(60);
        for number in 0..20_000_u32 {
            rate.take(Source::Address(IpAddr::from(number.to_be_bytes())), now);
            if number % 20 == 0 {
                rate.take(address(7), now);
            }
        }
        assert!(rate.state().busiest.0.len() <= COUNTED_SOURCES);
        let told = rate.finish(Timestamp::from_seconds(120));
        let seen = told[0]
            .sources
            .iter()
            .find(|(name, _)| name == "192.0.2.7")
            .map(|(_, seen)| *seen);
        assert!(
            seen.is_some_and(|seen| (1000..1100).contains(&seen)),
            "{told:?}"
        );
    }

    #[test]
    fn changes_of_one_kind_and_account_use_up_nothing_of_another() {
        let rate = SourceRate::of_each(CHANGES);
        let (now, one) = (Timestamp::from_seconds(60), UserId::new());
        let most = CHANGES.in_window(60) as usize;
        let made = |user, action| {
            (0..10_000)
                .filter(|_| rate.take(Source::Changes(user, action), now))
                .count()
        };
        assert_eq!(
            (made(one, Action::TokenCreate), made(one, Action::EmailAdd)),
            (most, most)
        );
        assert!(
            (0..100).all(|_| rate.take(Source::Changes(UserId::new(), Action::TokenCreate), now)),
            "others are not affected"
        );
    }

    #[test]
    fn a_flood_of_some_seconds_uses_up_no_day() {
        let rate = SourceRate::with(2, 100);
        let flood = (0..10_000)
            .filter(|_| rate.take(address(1), Timestamp::from_seconds(60)))
            .count();
        assert_eq!(
            (flood, rate.take(address(1), Timestamp::from_seconds(120))),
            (2, true)
        );
    }

    #[test]
    fn what_is_kept_of_sources_is_bounded_on_a_day_that_is_full_as_well() {
        let rate = SourceRate::with(1, 1);
        let many = |at: i64| {
            (0..2000_u32)
                .filter(|number| {
                    rate.take(
                        Source::Address(IpAddr::from(number.to_be_bytes())),
                        Timestamp::from_seconds(at),
                    )
                })
                .count()
        };
        assert_eq!((many(60), many(120)), (RECORDED_OF_ALL.length(), 0));
        let state = rate.state();
        assert!(
            state.minute.seen.len() + state.day.seen.len() + state.firsts.1.len()
                <= 2 * RECORDED_OF_ALL.length()
        );
    }

    #[test]
    fn failures_that_name_accounts_are_bounded_for_all_accounts_together() {
        let failures = NamedFailures::limited();
        let recorded = |at| {
            (0..1000)
                .filter(|_| {
                    failures.take(
                        UserId::new(),
                        ("too-many-attempts", None),
                        Timestamp::from_seconds(at),
                    )
                })
                .count()
        };
        assert_eq!(
            recorded(60),
            NAMED_WAITS.in_window(60) as usize * RECORDED_OF_ALL.length()
        );
    }

    #[test]
    fn a_day_of_minutes_records_no_more_than_a_day_may() {
        let rate = SourceRate::with(2, 5);
        let recorded = |from: i64| {
            (0..60)
                .filter(|minute| rate.take(address(1), Timestamp::from_seconds(from + minute * 60)))
                .count()
        };
        assert_eq!((recorded(0), recorded(7200), recorded(86_400)), (5, 0, 5));
    }

    #[test]
    fn the_first_of_each_action_is_recorded_behind_a_flood_of_another() {
        let rate = SourceRate::with(3, 100);
        let now = Timestamp::from_seconds(60);
        let reads = (0..50)
            .filter(|_| rate.take_first(address(1), Means::default(), Action::IndexRead, now))
            .count();
        assert_eq!(reads, 3);
        assert!(rate.take_first(address(1), Means::default(), Action::FileUpload, now));
        assert!(!rate.take_first(address(1), Means::default(), Action::FileUpload, now));
        assert!(
            !rate.take_first(
                address(1),
                Means::default(),
                Action::FileUpload,
                now.plus_ms(59_000)
            ),
            "once in an hour"
        );
    }

    #[test]
    fn first_ones_of_one_account_have_a_bound() {
        let rate = SourceRate::with(1, 1);
        let now = Timestamp::from_seconds(60);
        let user = Source::User(UserId::new());
        let with_a_new_token = |source| {
            let means = Means {
                token: Some(TokenId::new()),
                session: None,
            };
            rate.take_first(source, means, Action::FileUpload, now)
        };
        let recorded = (0..1000).filter(|_| with_a_new_token(user)).count();
        assert_eq!(recorded as u32, RECORDED_FIRSTS.in_window(HOUR));
        assert!(with_a_new_token(Source::User(UserId::new())), "of another");
    }

    #[test]
    fn failures_that_name_an_account_are_recorded_up_to_a_number_of_their_own() {
        let failures = NamedFailures::looked_at();
        let (one, other) = (UserId::new(), UserId::new());
        let recorded = |user, why, second| {
            (0..100)
                .filter(|_| failures.take(user, (why, None), Timestamp::from_seconds(second)))
                .count()
        };
        assert_eq!(
            [
                recorded(one, "unread", 60),
                recorded(one, "unread", 119),
                recorded(other, "unread", 119),
                recorded(one, "unread", 120)
            ],
            [20, 0, 20, 20]
        );
        assert_eq!(recorded(one, "wrong", 120), 20, "another way to fail");
    }

    #[test]
    fn a_credential_that_comes_with_reads_is_noted_once_in_an_hour() {
        let noted = Noted::default();
        let (user, one, other) = (
            Source::User(UserId::new()),
            Some(TokenId::new()),
            Some(TokenId::new()),
        );
        let noted_of = |token, action, second| {
            (0..100)
                .filter(|_| {
                    noted.take((user, token, action, true), Timestamp::from_seconds(second))
                })
                .count()
        };
        assert_eq!(
            [
                noted_of(one, Action::IndexRead, 60),
                noted_of(one, Action::IndexRead, 3599),
                noted_of(one, Action::IndexRead, 3600)
            ],
            [1, 0, 1]
        );
        assert_eq!(
            noted_of(other, Action::IndexRead, 3600),
            1,
            "nobody hides one token behind another"
        );
        assert_eq!(noted_of(one, Action::FileDownload, 3600), 1);
    }

    #[test]
    fn what_is_noted_of_credentials_that_come_with_reads_is_bounded_for_all_together() {
        let noted = Noted::default();
        let many = 2 * READERS_OF_ALL.get();
        let taken = (0..many)
            .filter(|number| {
                noted.take(
                    (
                        Source::Address(IpAddr::from(number.to_be_bytes())),
                        None,
                        Action::IndexRead,
                        true,
                    ),
                    Timestamp(0),
                )
            })
            .count();
        assert_eq!(taken, READERS_OF_ALL.length());
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one_source() {
        let caller = Caller::anonymous();
        let of = |text: &str| Source::of(text.parse().unwrap(), &caller);
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:2"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
    }
}
