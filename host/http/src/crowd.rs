//! How much of something there is from each address at the same time.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use model::address::neighbourhood;

/// How many there are from each address; neighbours in IPv6 count together.
#[derive(Clone, Default)]
pub(crate) struct Crowd(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// One of an address, for as long as it lives.
pub(crate) struct InCrowd(Option<(Crowd, IpAddr, usize)>);

impl InCrowd {
    /// One that is not counted.
    pub(crate) fn uncounted() -> Self {
        Self(None)
    }
}

impl Crowd {
    /// Counts one; none if its address has as many already.
    pub(crate) fn enter(&self, address: IpAddr, most: usize) -> Option<InCrowd> {
        self.enter_with(1, address, most)
    }

    /// The same of something that weighs more than one.
    pub(crate) fn enter_with(
        &self,
        weight: usize,
        address: IpAddr,
        most: usize,
    ) -> Option<InCrowd> {
        let address = neighbourhood(address);
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.get(&address).copied().unwrap_or(0);
        // One of anything has room, however heavy it is.
        if count > 0 && count.saturating_add(weight) > most {
            return None;
        }
        counts.insert(address, count.saturating_add(weight));
        Some(InCrowd(Some((self.clone(), address, weight))))
    }
}

impl Drop for InCrowd {
    fn drop(&mut self) {
        let Some((crowd, address, weight)) = self.0.take() else {
            return;
        };
        let mut counts = crowd.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&address) {
            *count -= weight;
            if *count == 0 {
                counts.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
