//! Places in which pages are made, given to those who ask by turns of their addresses: whoever
//! asks for many makes their own requests wait, and nobody else's.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::address::neighbourhood;
use model::limit::PAGE_WAIT;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Those of an address that wait before those are forgotten that gave up.
const FORGOTTEN: usize = 1024;

/// Whose request it is that needs something made, and until when it waits for that.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asker {
    address: IpAddr,
    pub(crate) until: Instant,
}

impl Asker {
    /// From now on. Neighbours in IPv6 are one.
    pub(crate) fn at(address: IpAddr) -> Self {
        Self {
            address: neighbourhood(address),
            until: Instant::now() + Duration::from_millis(PAGE_WAIT.milliseconds()),
        }
    }
}

/// A number of places. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Places(Arc<Mutex<State>>);

struct State {
    free: usize,
    /// Those who wait, by address. No lane is empty, and each is once in `order`.
    lanes: HashMap<IpAddr, VecDeque<oneshot::Sender<Place>>>,
    order: VecDeque<IpAddr>,
}

/// One place, for as long as it lives.
pub(crate) struct Place(Option<Places>);

impl Places {
    pub(crate) fn new(count: usize) -> Self {
        Self(Arc::new(Mutex::new(State {
            free: count,
            lanes: HashMap::new(),
            order: VecDeque::new(),
        })))
    }

    /// Waits for a place. Of one address, whoever `goes_first` comes before those who do not:
    /// what they hold already is to be given back soon.
    pub(crate) async fn acquire(&self, asker: &Asker, goes_first: bool) -> Place {
        let place = {
            let mut state = self.state();
            // While somebody waits, none is free.
            if state.free > 0 {
                state.free -= 1;
                return Place(Some(self.clone()));
            }
            let State { lanes, order, .. } = &mut *state;
            let lane = lanes.entry(asker.address).or_default();
            if lane.is_empty() {
                order.push_back(asker.address);
            } else if lane.len() >= FORGOTTEN {
                lane.retain(|waiting| !waiting.is_closed());
            }
            let (give, place) = oneshot::channel();
            if goes_first {
                lane.push_front(give);
            } else {
                lane.push_back(give);
            }
            place
        };
        place.await.expect("whoever waits is given a place")
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in it is ever half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The next who waits and is still there.
    fn next(&mut self) -> Option<oneshot::Sender<Place>> {
        while let Some(address) = self.order.pop_front() {
            let lane = self.lanes.entry(address).or_default();
            let next = std::iter::from_fn(|| lane.pop_front()).find(|next| !next.is_closed());
            if lane.is_empty() {
                self.lanes.remove(&address);
            } else {
                self.order.push_back(address);
            }
            if next.is_some() {
                return next;
            }
        }
        None
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
                // Gone since it was looked at. The place is given on, and not given back twice.
                Err(mut place) => drop(place.0.take()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asker(number: u8) -> Asker {
        Asker::at([192, 0, 2, number].into())
    }

    /// Starts to wait; what is sent is the order in which places were given.
    fn wait(
        places: &Places,
        asker: Asker,
        goes_first: bool,
        name: &'static str,
        given: &tokio::sync::mpsc::UnboundedSender<&'static str>,
    ) -> tokio::task::JoinHandle<()> {
        let (places, given) = (places.clone(), given.clone());
        tokio::spawn(async move {
            let _place = places.acquire(&asker, goes_first).await;
            given.send(name).unwrap();
        })
    }

    #[tokio::test]
    async fn addresses_take_turns_and_what_goes_first_goes_first_among_its_own() {
        let places = Places::new(1);
        let (given, mut order) = tokio::sync::mpsc::unbounded_channel();
        let held = places.acquire(&asker(1), false).await;
        let mut waiting = Vec::new();
        for (address, goes_first, name) in [
            (1, false, "greedy 1"),
            (1, false, "greedy 2"),
            (1, false, "gone"),
            (1, false, "greedy 3"),
            (2, false, "other 1"),
            (1, true, "greedy, first"),
            (3, false, "third"),
            (2, false, "other 2"),
        ] {
            waiting.push(wait(&places, asker(address), goes_first, name, &given));
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
                "greedy, first",
                "other 1",
                "third",
                "greedy 1",
                "other 2",
                "greedy 2",
                "greedy 3"
            ]
        );
        let state = places.state();
        assert!(state.free == 1 && state.lanes.is_empty() && state.order.is_empty());
    }

    #[tokio::test]
    async fn no_place_is_lost_with_those_who_give_up() {
        let places = Places::new(2);
        for round in 0..200 {
            let held = places.acquire(&asker(1), false).await;
            let also = places.acquire(&asker(2), false).await;
            let waiting: Vec<_> = (0..20_u8)
                .map(|number| {
                    let places = places.clone();
                    tokio::spawn(async move {
                        drop(places.acquire(&asker(number % 3), number % 2 == 0).await);
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
        let state = places.state();
        assert!(state.free == 2 && state.lanes.is_empty() && state.order.is_empty());
    }
}
