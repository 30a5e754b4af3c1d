//! How many refusals are recorded one by one.
//!
//! A refusal costs its sender a request and would cost the registry a row for ever. Each
//! source therefore has a number of refusals per minute that are recorded one by one, and
//! so have all sources together; what goes beyond is counted, and the count is recorded
//! when the minute is over. So a flood can neither fill the disk nor pass unseen.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard};

use model::{Caller, Timestamp, UserId};

/// All sources together may have this many times what one may have.
const ALL_SOURCES: u32 = 20;
/// The sources named in the summary of a minute at most, those with most refusals first.
const NAMED_SOURCES: usize = 10;

/// Failed authentications recorded for one account in a minute for each way to fail, however
/// many other refusals there are: nobody hides guesses at it behind a flood, be it of other
/// failures that name it. More than its limits let through.
const PER_ACCOUNT: u32 = 20;

/// Of those that were refused unread, since there were too many, this many: it says so once.
const LIMITED_PER_ACCOUNT: u32 = 1;

/// How somebody failed: why, and with which second factor, if it was one.
pub(crate) type Way = (&'static str, Option<&'static str>);

/// Failed authentications that name an account, in this minute.
pub(crate) struct NamedFailures {
    per_account: u32,
    /// Number of the minute, and how many of each account and way. Accounts that exist, and
    /// ways of a fixed list, so it is bounded.
    state: Mutex<(i64, HashMap<(UserId, Way), u32>)>,
}

impl NamedFailures {
    pub(crate) fn looked_at() -> Self {
        Self { per_account: PER_ACCOUNT, state: Mutex::default() }
    }

    pub(crate) fn limited() -> Self {
        Self { per_account: LIMITED_PER_ACCOUNT, state: Mutex::default() }
    }

    /// Whether one more of this account is recorded.
    pub(crate) fn take(&self, user: UserId, way: Way, now: Timestamp) -> bool {
        let minute = now.seconds().div_euclid(60);
        let mut state = self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if minute > state.0 {
            *state = (minute, HashMap::new());
        }
        let seen = state.1.entry((user, way)).or_default();
        *seen = seen.saturating_add(1);
        *seen <= self.per_account
    }
}

/// Who is refused, as far as counting goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Source {
    User(UserId),
    /// An address; of IPv6 the /64, which one subscriber has whole.
    Address(IpAddr),
}

impl Source {
    pub(crate) fn of(address: IpAddr, caller: &Caller) -> Self {
        match (caller.user(), address) {
            (Some(user), _) => Self::User(user.id),
            (None, IpAddr::V4(_)) => Self::Address(address),
            (None, IpAddr::V6(long)) => {
                let [a, b, c, d, ..] = long.segments();
                Self::Address(IpAddr::V6([a, b, c, d, 0, 0, 0, 0].into()))
            }
        }
    }

    fn describe(self) -> String {
        match self {
            Self::User(user) => format!("user {user}"),
            Self::Address(address) => address.to_string(),
        }
    }
}

/// Refusals of one minute that were counted and not recorded one by one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Uncounted {
    /// When the minute began.
    pub(crate) minute: Timestamp,
    /// How many.
    pub(crate) refusals: u64,
    /// The sources with most refusals, with all their refusals of the minute.
    pub(crate) sources: Vec<(String, u32)>,
}

pub(crate) struct RefusalRate {
    per_source: u32,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    minute: Minute,
    /// Minutes that are over and not yet told.
    over: Vec<Uncounted>,
}

#[derive(Default)]
struct Minute {
    number: i64,
    seen: HashMap<Source, u32>,
    recorded: u32,
    left_out: u64,
}

impl RefusalRate {
    pub(crate) fn new(per_source: u32) -> Self {
        Self { per_source, state: Mutex::default() }
    }

    /// Whether one more refusal of this source is recorded.
    pub(crate) fn take(&self, source: Source, now: Timestamp) -> bool {
        let mut state = self.state();
        state.turn(now);
        let minute = &mut state.minute;
        // The map is bounded by what all sources together may record: beyond that no new
        // source is let in.
        let all = self.per_source.saturating_mul(ALL_SOURCES);
        if minute.recorded >= all && !minute.seen.contains_key(&source) {
            minute.left_out += 1;
            return false;
        }
        let seen = minute.seen.entry(source).or_default();
        *seen = seen.saturating_add(1);
        let recorded = *seen <= self.per_source && minute.recorded < all;
        match recorded {
            true => minute.recorded += 1,
            false => minute.left_out += 1,
        }
        recorded
    }

    /// What minutes that are over left out, each once.
    pub(crate) fn finish(&self, now: Timestamp) -> Vec<Uncounted> {
        let mut state = self.state();
        state.turn(now);
        std::mem::take(&mut state.over)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Counts are never half changed, so they are as good as before after a panic.
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl State {
    fn turn(&mut self, now: Timestamp) {
        let number = now.seconds().div_euclid(60);
        if number <= self.minute.number {
            return;
        }
        let minute = std::mem::replace(&mut self.minute, Minute { number, ..Minute::default() });
        if minute.left_out > 0 {
            self.over.push(minute.told());
        }
    }
}

impl Minute {
    fn told(self) -> Uncounted {
        let mut sources: Vec<(Source, u32)> = self.seen.into_iter().collect();
        sources.sort_by_key(|(source, seen)| (std::cmp::Reverse(*seen), *source));
        sources.truncate(NAMED_SOURCES);
        let sources = sources.into_iter().map(|(source, seen)| (source.describe(), seen)).collect();
        Uncounted { minute: Timestamp::from_seconds(self.number * 60), refusals: self.left_out, sources }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> Source {
        Source::Address(IpAddr::from([192, 0, 2, last]))
    }

    #[test]
    fn one_source_cannot_use_up_what_another_may_record() {
        let rate = RefusalRate::new(3);
        let now = Timestamp::from_seconds(60);
        let recorded = (0..100).filter(|_| rate.take(address(1), now)).count();
        assert_eq!(recorded, 3);
        assert!(rate.take(address(2), now));
    }

    #[test]
    fn all_sources_together_are_bounded_and_so_is_what_is_kept_of_them() {
        let rate = RefusalRate::new(1);
        let now = Timestamp::from_seconds(60);
        let recorded = (0..=255).filter(|&last| rate.take(address(last), now)).count();
        assert_eq!(recorded, ALL_SOURCES as usize);
        assert_eq!(rate.state().minute.seen.len(), ALL_SOURCES as usize);
    }

    #[test]
    fn what_is_left_out_is_told_once_when_the_minute_is_over() {
        let rate = RefusalRate::new(2);
        for _ in 0..5 {
            rate.take(address(7), Timestamp::from_seconds(61));
        }
        assert_eq!(rate.finish(Timestamp::from_seconds(119)), []);
        let told = rate.finish(Timestamp::from_seconds(120));
        assert_eq!(told, [Uncounted { minute: Timestamp::from_seconds(60), refusals: 3, sources: vec![("192.0.2.7".into(), 5)] }]);
        assert_eq!(rate.finish(Timestamp::from_seconds(121)), []);
        assert!(rate.take(address(7), Timestamp::from_seconds(121)), "a new minute begins with a clean slate");
    }

    #[test]
    fn failures_that_name_an_account_are_recorded_up_to_a_number_of_their_own() {
        let failures = NamedFailures::looked_at();
        let (one, other) = (UserId::new(), UserId::new());
        let recorded = |user, why, second| (0..100).filter(|_| failures.take(user, (why, None), Timestamp::from_seconds(second))).count();
        assert_eq!([recorded(one, "unread", 60), recorded(one, "unread", 119), recorded(other, "unread", 119), recorded(one, "unread", 120)], [20, 0, 20, 20]);
        assert_eq!(recorded(one, "wrong", 120), 20, "another way to fail");
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one_source() {
        let caller = Caller::anonymous();
        let of = |text: &str| Source::of(text.parse().unwrap(), &caller);
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:2"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
    }
}
