//! How many of something each address has at the same time.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use model::address::{NETWORK_BITS, SUBSCRIBER_BITS, neighbourhood, network_of};
use model::limit::WIDER_NETWORK;

/// How many there are from each address. Neighbours in IPv6 count together, and a wider network
/// counts as a few addresses.
#[derive(Clone, Default)]
pub(crate) struct Crowd(Arc<Mutex<HashMap<Network, usize>>>);

/// A network and its bits.
type Network = (IpAddr, u32);

/// The networks that an address counts in, each with its multiple of the limit for one address.
fn networks(address: IpAddr) -> impl Iterator<Item = (Network, usize)> {
    let neighbours = ((neighbourhood(address), SUBSCRIBER_BITS), 1);
    let wider = address.to_canonical().is_ipv6().then(|| {
        let network = (network_of(address, NETWORK_BITS), NETWORK_BITS);
        (network, WIDER_NETWORK.length())
    });
    std::iter::once(neighbours).chain(wider)
}

/// Counts as one for its address for as long as it lives.
pub(crate) struct InCrowd(Option<(Crowd, IpAddr, usize)>);

impl InCrowd {
    /// One that is not counted.
    pub(crate) fn uncounted() -> Self {
        Self(None)
    }
}

impl Crowd {
    /// Counts one; none if its address has that many already.
    pub(crate) fn enter(&self, address: IpAddr, most: usize) -> Option<InCrowd> {
        self.enter_with(1, address, most)
    }

    /// The same for something that weighs more than one.
    pub(crate) fn enter_with(
        &self,
        weight: usize,
        address: IpAddr,
        most: usize,
    ) -> Option<InCrowd> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (network, times) in networks(address) {
            let count = counts.get(&network).copied().unwrap_or(0);
            // One of anything has room, however heavy it is.
            if count > 0 && count.saturating_add(weight) > most.saturating_mul(times) {
                return None;
            }
        }
        for (network, _) in networks(address) {
            let count = counts.entry(network).or_default();
            *count = count.saturating_add(weight);
        }
        Some(InCrowd(Some((self.clone(), address, weight))))
    }
}

impl Crowd {
    /// Waits on behalf of the address for something that does not come at once; none if that many
    /// of it wait already.
    pub(crate) async fn wait_for<T>(
        &self,
        address: IpAddr,
        most: usize,
        wanted: impl Future<Output = T>,
    ) -> Option<T> {
        let mut wanted = std::pin::pin!(wanted);
        if let Poll::Ready(here) = futures_util::poll!(wanted.as_mut()) {
            return Some(here);
        }
        let _waiting = self.enter(address, most)?;
        Some(wanted.await)
    }
}

impl Drop for InCrowd {
    fn drop(&mut self) {
        let Some((crowd, address, weight)) = self.0.take() else {
            return;
        };
        let mut counts = crowd.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (network, _) in networks(address) {
            if let Some(count) = counts.get_mut(&network) {
                *count = count.saturating_sub(weight);
                if *count == 0 {
                    counts.remove(&network);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn of_one_address_few_wait_and_what_is_ready_is_not_waited_for() {
        let crowd = Crowd::default();
        let address = IpAddr::from([192, 0, 2, 1]);
        let gate = Arc::new(tokio::sync::Semaphore::new(0));
        let wait = || {
            let (crowd, gate) = (crowd.clone(), gate.clone());
            tokio::spawn(async move {
                let wanted = async { drop(gate.acquire().await) };
                crowd.wait_for(address, 2, wanted).await
            })
        };
        let (first, second) = (wait(), wait());
        while crowd.0.lock().unwrap().get(&(address, SUBSCRIBER_BITS)) != Some(&2) {
            tokio::task::yield_now().await;
        }
        assert_eq!(wait().await.unwrap(), None);
        assert_eq!(crowd.wait_for(address, 2, async { 1 }).await, Some(1));
        let other = IpAddr::from([192, 0, 2, 2]);
        let later = tokio::task::yield_now();
        assert_eq!(crowd.wait_for(other, 2, later).await, Some(()));
        gate.add_permits(1);
        assert_eq!(
            (first.await.unwrap(), second.await.unwrap()),
            (Some(()), Some(()))
        );
        assert!(crowd.0.lock().unwrap().is_empty());
    }

    #[test]
    fn what_is_heavy_counts_by_its_weight() {
        let crowd = Crowd::default();
        let address = IpAddr::from([192, 0, 2, 1]);
        let heavy = crowd.enter_with(20, address, 10);
        assert!(heavy.is_some(), "one of anything");
        assert!(crowd.enter_with(1, address, 10).is_none());
        drop(heavy);
        let (first, second) = (
            crowd.enter_with(6, address, 10),
            crowd.enter_with(4, address, 10),
        );
        assert!(first.is_some() && second.is_some());
        assert!(crowd.enter_with(1, address, 10).is_none());
        drop((first, second));
        assert!(crowd.0.lock().unwrap().is_empty());
    }

    #[test]
    fn an_address_has_so_many_and_no_more() {
        let crowd = Crowd::default();
        let address = IpAddr::from([192, 0, 2, 1]);
        let first = crowd.enter(address, 2);
        let second = crowd.enter(address, 2);
        assert!(first.is_some() && second.is_some());
        assert!(crowd.enter(address, 2).is_none());
        assert!(crowd.enter([192, 0, 2, 2].into(), 2).is_some());
        drop(first);
        assert!(crowd.enter(address, 2).is_some());
        drop(second);
        assert!(crowd.0.lock().unwrap().is_empty());
    }

    #[test]
    fn a_wider_network_of_ipv6_has_as_many_as_few_addresses() {
        let crowd = Crowd::default();
        let address = |number: u16| {
            let address = std::net::Ipv6Addr::new(0x2001, 0xdb8, 7, number, 0, 0, 0, 1);
            IpAddr::from(address)
        };
        let most = 2 * WIDER_NETWORK.length();
        let enter = |number: u16| crowd.enter(address(number), 2);
        let all: Vec<_> = (0..most as u16).map_while(enter).collect();
        assert_eq!(all.len(), most);
        assert!(enter(1000).is_none() && crowd.enter([192, 0, 2, 1].into(), 2).is_some());
        drop(all);
        assert!(enter(1000).is_some());
        assert!(crowd.0.lock().unwrap().is_empty());
    }
}
