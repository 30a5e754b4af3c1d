//! Places in which pages are made, given to those who ask by turns of their addresses: whoever
//! asks for many makes their own requests wait, and nobody else's.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::address::{NETWORK_BITS, neighbourhood, network_of};
use model::limit::{PAGE_WAIT, WIDER_NETWORK};
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
        Self::waiting(address, PAGE_WAIT.milliseconds())
    }

    /// The same for so many milliseconds.
    pub(crate) fn waiting(address: IpAddr, milliseconds: u64) -> Self {
        Self {
            address: neighbourhood(address),
            until: Instant::now() + Duration::from_millis(milliseconds),
        }
    }
}

/// A number of places. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Places(Arc<Mutex<State>>);

struct State {
    free: usize,
    /// Those who wait, by the network of one subscriber. None is empty, and each is once in
    /// `order`.
    networks: HashMap<IpAddr, Network>,
    order: VecDeque<IpAddr>,
}

/// Those of one IPv4 address, or of an IPv6 network of 48 bits, by their addresses.
#[derive(Default)]
struct Network {
    /// No lane is empty, and each is once in `order`.
    lanes: HashMap<IpAddr, VecDeque<oneshot::Sender<Place>>>,
    order: VecDeque<IpAddr>,
    /// Places given since it was its turn.
    given: usize,
}

/// One place, for as long as it lives.
pub(crate) struct Place(Option<Places>);

impl Places {
    pub(crate) fn new(count: usize) -> Self {
        Self(Arc::new(Mutex::new(State {
            free: count,
            networks: HashMap::new(),
            order: VecDeque::new(),
        })))
    }

    /// Waits for a place.
    pub(crate) async fn acquire(&self, asker: &Asker) -> Place {
        let place = {
            let mut state = self.state();
            // While somebody waits, none is free.
            if state.free > 0 {
                state.free -= 1;
                return Place(Some(self.clone()));
            }
            let (give, place) = oneshot::channel();
            state.wait(asker.address, give);
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
    fn wait(&mut self, address: IpAddr, give: oneshot::Sender<Place>) {
        let of = network_of(address, NETWORK_BITS);
        let network = self.networks.entry(of).or_default();
        if network.lanes.is_empty() {
            self.order.push_back(of);
        }
        let lane = network.lanes.entry(address).or_default();
        if lane.is_empty() {
            network.order.push_back(address);
        } else if lane.len() >= FORGOTTEN {
            lane.retain(|waiting| !waiting.is_closed());
        }
        lane.push_back(give);
    }

    /// The next who waits and is still there. In its turn a network has a place for each of its
    /// addresses, and for few of them if it has many.
    fn next(&mut self) -> Option<oneshot::Sender<Place>> {
        while let Some(of) = self.order.front().copied() {
            let network = self.networks.entry(of).or_default();
            let next = network.next();
            network.given += 1;
            if network.lanes.is_empty() {
                self.networks.remove(&of);
                self.order.pop_front();
            } else if network.given >= network.order.len().min(WIDER_NETWORK.length()) {
                network.given = 0;
                self.order.rotate_left(1);
            }
            if next.is_some() {
                return next;
            }
        }
        None
    }
}

impl Network {
    fn next(&mut self) -> Option<oneshot::Sender<Place>> {
        let address = self.order.pop_front()?;
        let lane = self.lanes.entry(address).or_default();
        let next = std::iter::from_fn(|| lane.pop_front()).find(|next| !next.is_closed());
        if lane.is_empty() {
            self.lanes.remove(&address);
        } else {
            self.order.push_back(address);
        }
        next
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
        state.free == free && state.networks.is_empty() && state.order.is_empty()
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
            drop(wait(&places, Asker::at(address.into()), "many", &given));
            tokio::task::yield_now().await;
        }
        drop(wait(&places, asker(2), "other", &given));
        let elsewhere = std::net::Ipv6Addr::new(0x2001, 0xdb8, 8, 0, 0, 0, 0, 1);
        drop(wait(
            &places,
            Asker::at(elsewhere.into()),
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
}
