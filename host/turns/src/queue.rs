//! The waiting requests, and whose turn is next.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

use model::address::{NETWORK_BITS, network_of};
use model::limit::WIDER_NETWORK;
use tokio::sync::oneshot;

use crate::{Account, Bounds, Full, Place};

/// Length of a lane above which requests that gave up are removed.
const FORGOTTEN: usize = 1024;

/// Requests that are served in order of arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Lane {
    /// Requests from one address; neighbours in IPv6 count as one.
    Address(IpAddr),
    /// Requests of one account on its known devices.
    Account(Account),
}

/// The waiting requests, by subscriber. No subscriber is empty, and each is once in `order`.
#[derive(Default)]
pub(crate) struct Queue {
    subscribers: HashMap<Lane, Subscriber>,
    order: VecDeque<Lane>,
    /// Requests in it, including those that gave up.
    length: usize,
}

/// The requests of one IPv4 address, of an IPv6 network of 48 bits by address, or of an account.
#[derive(Default)]
struct Subscriber {
    /// No lane is empty, and each is once in `order`.
    lanes: HashMap<Lane, VecDeque<oneshot::Sender<Place>>>,
    order: VecDeque<Lane>,
    /// Requests in its lanes, including those that gave up.
    length: usize,
    /// Places given in its current turn.
    given: usize,
}

impl Lane {
    /// The subscriber of this lane.
    fn subscriber(self) -> Self {
        match self {
            Self::Address(address) => Self::Address(network_of(address, NETWORK_BITS)),
            Self::Account(_) => self,
        }
    }
}

impl Queue {
    pub(crate) fn wait(
        &mut self,
        lane: Lane,
        bounds: Bounds,
    ) -> Result<oneshot::Receiver<Place>, Full> {
        let most_of_subscriber = bounds.of_one.saturating_mul(WIDER_NETWORK.length());
        let (mut of_lane, mut of_subscriber) = self.lengths(lane);
        if of_lane >= bounds.of_one.min(FORGOTTEN)
            || of_subscriber >= most_of_subscriber
            || self.length >= bounds.of_all
        {
            self.forget();
            (of_lane, of_subscriber) = self.lengths(lane);
        }
        if of_lane >= bounds.of_one
            || of_subscriber >= most_of_subscriber
            || (self.length >= bounds.of_all && !self.make_room(of_subscriber))
        {
            return Err(Full);
        }
        let (give, place) = oneshot::channel();
        let subscriber = self.subscribers.entry(lane.subscriber()).or_default();
        if subscriber.lanes.is_empty() {
            self.order.push_back(lane.subscriber());
        }
        let waiting = subscriber.lanes.entry(lane).or_default();
        if waiting.is_empty() {
            subscriber.order.push_back(lane);
        }
        waiting.push_back(give);
        subscriber.length += 1;
        self.length += 1;
        Ok(place)
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.subscribers.is_empty() && self.order.is_empty() && self.length == 0
    }

    /// The numbers that wait in a lane, and in all lanes of its subscriber.
    fn lengths(&self, lane: Lane) -> (usize, usize) {
        let subscriber = self.subscribers.get(&lane.subscriber());
        subscriber.map_or((0, 0), |subscriber| {
            let of_lane = subscriber.lanes.get(&lane).map_or(0, VecDeque::len);
            (of_lane, subscriber.length)
        })
    }

    /// Removes requests that gave up.
    fn forget(&mut self) {
        for subscriber in self.subscribers.values_mut() {
            for lane in subscriber.lanes.values_mut() {
                lane.retain(|waiting| !waiting.is_closed());
            }
            subscriber.lanes.retain(|_, lane| !lane.is_empty());
            let lanes = &subscriber.lanes;
            subscriber.order.retain(|lane| lanes.contains_key(lane));
            subscriber.length = lanes.values().map(VecDeque::len).sum();
        }
        self.subscribers
            .retain(|_, subscriber| !subscriber.lanes.is_empty());
        let subscribers = &self.subscribers;
        self.order.retain(|lane| subscribers.contains_key(lane));
        self.length = self
            .subscribers
            .values()
            .map(|subscriber| subscriber.length)
            .sum();
    }

    /// Removes the last request of the subscriber with most, if it has more than one with `had`
    /// requests would have after one more.
    fn make_room(&mut self, had: usize) -> bool {
        let most = self
            .subscribers
            .iter()
            .map(|(lane, subscriber)| (subscriber.length, *lane))
            .max_by_key(|(length, _)| *length);
        let Some((length, lane)) = most.filter(|(length, _)| *length > had + 1) else {
            return false;
        };
        let subscriber = self.subscribers.entry(lane).or_default();
        let longest = subscriber.lanes.values_mut().max_by_key(|lane| lane.len());
        drop(longest.and_then(VecDeque::pop_back));
        subscriber.length -= 1;
        self.length -= 1;
        debug_assert!(length > 1, "whoever has one waits on");
        let empty: Vec<Lane> = subscriber
            .lanes
            .extract_if(|_, lane| lane.is_empty())
            .map(|(lane, _)| lane)
            .collect();
        subscriber.order.retain(|lane| !empty.contains(lane));
        true
    }

    /// The next request; those before it that gave up are removed. In its turn, a network gets a
    /// place for each of its addresses, up to a few.
    pub(crate) fn next(&mut self) -> Option<oneshot::Sender<Place>> {
        while let Some(of) = self.order.front().copied() {
            let subscriber = self.subscribers.entry(of).or_default();
            let before = subscriber.length;
            let next = subscriber.next();
            self.length -= before - subscriber.length;
            subscriber.given += 1;
            if subscriber.lanes.is_empty() {
                self.subscribers.remove(&of);
                self.order.pop_front();
            } else if subscriber.given >= subscriber.order.len().min(WIDER_NETWORK.length()) {
                subscriber.given = 0;
                self.order.rotate_left(1);
            }
            if next.is_some() {
                return next;
            }
        }
        None
    }
}

impl Subscriber {
    fn next(&mut self) -> Option<oneshot::Sender<Place>> {
        let address = self.order.pop_front()?;
        let lane = self.lanes.entry(address).or_default();
        let before = lane.len();
        let next = std::iter::from_fn(|| lane.pop_front()).find(|next| !next.is_closed());
        self.length -= before - lane.len();
        if lane.is_empty() {
            self.lanes.remove(&address);
        } else {
            self.order.push_back(address);
        }
        next
    }
}
