//! Places for expensive work, given out in turns: callers who ask for many delay only their own
//! requests.
//!
//! Read [`Asker`] (whose request it is) and [`Places`] first. Strangers take turns by address, and
//! a wide network has as many turns as a few addresses. Accounts on their known devices take turns
//! with each other, and get half of all places while both wait: however many addresses strangers
//! have, they do not delay an owner on a known device.

mod queue;

use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::address::neighbourhood;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use queue::{Lane, Queue};

/// Whose request it is, and until when it waits.
#[derive(Clone, Copy, Debug)]
pub struct Asker {
    lane: Lane,
    pub until: Instant,
}

/// An account, by any number that is its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Account(u64);

impl Account {
    /// The account of this name. Two names may have the same number, with a negligible chance; they
    /// then share their turns.
    pub fn named(name: &str, numbers: &impl BuildHasher) -> Self {
        Self(numbers.hash_one(name))
    }
}

impl Asker {
    /// A caller at an address, who waits from now on.
    pub fn at(address: IpAddr, patience: Duration) -> Self {
        Self::new(Lane::Address(neighbourhood(address)), patience)
    }

    /// An account, on a known device or within a session.
    pub fn known(account: Account, patience: Duration) -> Self {
        Self::new(Lane::Account(account), patience)
    }

    fn new(lane: Lane, patience: Duration) -> Self {
        Self {
            lane,
            until: Instant::now() + patience,
        }
    }
}

/// A number of places. Cheap to clone.
#[derive(Clone)]
pub struct Places(Arc<Mutex<State>>);

/// How many may wait; the same number again for accounts on known devices.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// In one lane.
    pub of_one: usize,
    /// In all. Beyond that, a new one replaces the last of the subscriber that has most.
    pub of_all: usize,
}

impl Bounds {
    /// Any number: it is bounded elsewhere.
    pub const NONE: Self = Self {
        of_one: usize::MAX,
        of_all: usize::MAX,
    };
}

/// Too many wait, or it took too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

struct State {
    free: usize,
    bounds: Bounds,
    strangers: Queue,
    known: Queue,
    /// Whether the next place goes to an account on a known device, if one waits.
    is_turn_of_known: bool,
}

/// One place, for as long as it lives.
pub struct Place(Option<Places>);

/// A request that waits for a place, or has one.
#[must_use = "whoever is not awaited gives up"]
pub struct Waiting {
    until: Instant,
    place: Result<Place, oneshot::Receiver<Place>>,
}

impl Waiting {
    /// The place. Fails if the asker's patience ended, or if it had to make room for one who asked
    /// less.
    pub async fn place(self) -> Result<Place, Full> {
        match self.place {
            Ok(place) => Ok(place),
            Err(place) => match timeout_at(self.until, place).await {
                Ok(Ok(place)) => Ok(place),
                Ok(Err(_)) | Err(_) => Err(Full),
            },
        }
    }
}

impl Places {
    /// `count` places, for which any number may wait.
    pub fn new(count: usize) -> Self {
        Self::with_bounds(count, Bounds::NONE)
    }

    /// `count` places, for which `bounds` limits who may wait.
    pub fn with_bounds(count: usize, bounds: Bounds) -> Self {
        Self(Arc::new(Mutex::new(State {
            free: count,
            bounds,
            strangers: Queue::default(),
            known: Queue::default(),
            is_turn_of_known: true,
        })))
    }

    /// Waits for a place as long as it takes; any number must be allowed to wait.
    pub async fn acquire(&self, asker: &Asker) -> Place {
        let waiting = self.queue(asker).map(|waiting| waiting.place);
        match waiting.expect("as many wait as like") {
            Ok(place) => place,
            Err(place) => place.await.expect("whoever waits is given a place"),
        }
    }

    /// Starts to wait, unless too many do.
    pub fn queue(&self, asker: &Asker) -> Result<Waiting, Full> {
        let mut state = self.state();
        // No place is free while somebody waits.
        let place = if state.free > 0 {
            state.free -= 1;
            Ok(Place(Some(self.clone())))
        } else {
            let bounds = state.bounds;
            Err(state.queue_of(asker.lane).wait(asker.lane, bounds)?)
        };
        Ok(Waiting {
            until: asker.until,
            place,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The state is never half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn queue_of(&mut self, lane: Lane) -> &mut Queue {
        match lane {
            Lane::Address(_) => &mut self.strangers,
            Lane::Account(_) => &mut self.known,
        }
    }

    /// The next one that waits and has not given up.
    fn next(&mut self) -> Option<oneshot::Sender<Place>> {
        let (first, second) = match self.is_turn_of_known {
            true => (&mut self.known, &mut self.strangers),
            false => (&mut self.strangers, &mut self.known),
        };
        self.is_turn_of_known = !self.is_turn_of_known;
        first.next().or_else(|| second.next())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(places) = self.0.take() else { return };
        loop {
            let next = {
                let mut state = places.state();
                let next = state.next();
                state.free += usize::from(next.is_none());
                next
            };
            let Some(next) = next else { return };
            match next.send(Place(Some(places.clone()))) {
                Ok(()) => return,
                // It has just given up. The place goes to the next one, and must not be given back
                // twice.
                Err(mut place) => drop(place.0.take()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::limit::WIDER_NETWORK;
    use tokio::sync::oneshot::error::TryRecvError;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn asker(number: u8) -> Asker {
        Asker::at([192, 0, 2, number].into(), PATIENCE)
    }

    /// Starts to wait; the messages show the order in which places were given.
    fn wait(
        places: &Places,
        asker: Asker,
        name: &'static str,
        given: &tokio::sync::mpsc::UnboundedSender<&'static str>,
    ) -> tokio::task::JoinHandle<()> {
        let (places, given) = (places.clone(), given.clone());
        tokio::spawn(async move {
            let _place = places.acquire(&asker).await;
            given.send(name).unwrap();
        })
    }

    fn is_at_rest(places: &Places, free: usize) -> bool {
        let state = places.state();
        state.free == free && state.strangers.is_empty() && state.known.is_empty()
    }

    #[tokio::test]
    async fn addresses_take_turns() {
        let places = Places::new(1);
        let (given, mut order) = tokio::sync::mpsc::unbounded_channel();
        let held = places.acquire(&asker(1)).await;
        let mut waiting = Vec::new();
        for (address, name) in [
            (1, "greedy 1"),
            (1, "greedy 2"),
            (1, "gone"),
            (1, "greedy 3"),
            (2, "other 1"),
            (3, "third"),
            (2, "other 2"),
        ] {
            waiting.push(wait(&places, asker(address), name, &given));
            tokio::task::yield_now().await;
        }
        waiting.remove(2).abort();
        tokio::task::yield_now().await;
        drop((held, given));
        let mut all = Vec::new();
        while let Some(name) = order.recv().await {
            all.push(name);
        }
        assert_eq!(
            all,
            [
                "greedy 1", "other 1", "third", "greedy 2", "other 2", "greedy 3"
            ]
        );
        assert!(is_at_rest(&places, 1));
    }

    #[tokio::test]
    async fn whoever_has_many_networks_of_ipv6_has_few_turns() {
        let places = Places::new(1);
        let (given, mut order) = tokio::sync::mpsc::unbounded_channel();
        let held = places.acquire(&asker(1)).await;
        for number in 0..100_u16 {
            let address = std::net::Ipv6Addr::new(0x2001, 0xdb8, 7, number, 0, 0, 0, 1);
            drop(wait(
                &places,
                Asker::at(address.into(), PATIENCE),
                "many",
                &given,
            ));
            tokio::task::yield_now().await;
        }
        drop(wait(&places, asker(2), "other", &given));
        let elsewhere = std::net::Ipv6Addr::new(0x2001, 0xdb8, 8, 0, 0, 0, 0, 1);
        drop(wait(
            &places,
            Asker::at(elsewhere.into(), PATIENCE),
            "elsewhere",
            &given,
        ));
        tokio::task::yield_now().await;
        drop((held, given));
        let mut all = Vec::new();
        while let Some(name) = order.recv().await {
            all.push(name);
        }
        let place_of = |name: &str| all.iter().position(|given| *given == name);
        let wider = WIDER_NETWORK.length();
        assert_eq!(place_of("other"), Some(wider));
        assert_eq!(place_of("elsewhere"), Some(wider + 1));
        assert_eq!(all.len(), 102, "everybody had a turn");
        assert!(is_at_rest(&places, 1));
    }

    #[tokio::test]
    async fn no_place_is_lost_with_those_who_give_up() {
        let places = Places::new(2);
        for round in 0..200 {
            let held = places.acquire(&asker(1)).await;
            let also = places.acquire(&asker(2)).await;
            let waiting: Vec<_> = (0..20_u8)
                .map(|number| {
                    let places = places.clone();
                    tokio::spawn(async move {
                        drop(places.acquire(&asker(number % 3)).await);
                    })
                })
                .collect();
            tokio::task::yield_now().await;
            for (number, task) in waiting.iter().enumerate() {
                if (number + round) % 3 == 0 {
                    task.abort();
                }
            }
            drop(held);
            drop(also);
            for task in waiting {
                drop(task.await);
            }
        }
        assert!(is_at_rest(&places, 2));
    }

    fn known(name: &str) -> Asker {
        let numbers = std::hash::BuildHasherDefault::<std::hash::DefaultHasher>::default();
        Asker::known(Account::named(name, &numbers), PATIENCE)
    }

    #[tokio::test]
    async fn whoever_is_known_waits_for_no_stranger_but_one() {
        let places = Places::new(1);
        let (given, mut order) = tokio::sync::mpsc::unbounded_channel();
        let held = places.acquire(&asker(1)).await;
        for number in 1..100 {
            drop(wait(&places, asker(number), "stranger", &given));
            tokio::task::yield_now().await;
        }
        for name in ["ana", "ana", "bert"] {
            drop(wait(&places, known(name), name, &given));
            tokio::task::yield_now().await;
        }
        drop((held, given));
        let mut all = Vec::new();
        while let Some(name) = order.recv().await {
            all.push(name);
        }
        assert_eq!(
            all[..6],
            ["ana", "stranger", "bert", "stranger", "ana", "stranger"]
        );
        assert_eq!(all.len(), 102);
        assert!(is_at_rest(&places, 1));
    }

    #[tokio::test]
    async fn whoever_has_few_waiting_is_sent_away_last() {
        let bounds = Bounds {
            of_one: 3,
            of_all: 7,
        };
        let places = Places::with_bounds(1, bounds);
        let held = places.acquire(&asker(1)).await;
        let queue = |number: u8| places.queue(&asker(number));
        let mut first: Vec<Waiting> = (0..3).map(|_| queue(1).ok().unwrap()).collect();
        assert!(queue(1).is_err(), "one address has so many");
        let mut second: Vec<Waiting> = (0..3).map(|_| queue(2).ok().unwrap()).collect();
        let third = queue(3).ok().unwrap();
        // All are taken. A fourth address replaces the last of one that has three.
        let fourth = queue(4).ok().unwrap();
        let fifth = queue(5).ok().unwrap();
        let left = |all: &mut [Waiting]| {
            let waits = |waiting: &mut Waiting| match &mut waiting.place {
                Ok(_) => true,
                Err(place) => matches!(place.try_recv(), Err(TryRecvError::Empty)),
            };
            all.iter_mut().map(waits).filter(|waits| *waits).count()
        };
        let mut few = [third, fourth, fifth];
        assert_eq!(
            (left(&mut first), left(&mut second), left(&mut few)),
            (2, 2, 3)
        );
        // Giving up makes room.
        first.clear();
        assert!(queue(6).is_ok());
        drop((held, second, few));
        assert!(is_at_rest(&places, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_longer_than_they_would() {
        let places = Places::new(1);
        let held = places.acquire(&asker(1)).await;
        let waiting = places.queue(&asker(2)).ok().unwrap();
        let start = Instant::now();
        assert!(waiting.place().await.is_err());
        assert_eq!(start.elapsed().as_secs(), PATIENCE.as_secs());
        drop(held);
        assert!(is_at_rest(&places, 1));
    }
}
