//! Network addresses, grouped by the person who has them.

use std::net::{IpAddr, Ipv6Addr};

/// Bits of an IPv6 network all of whose addresses belong to one subscriber.
pub const SUBSCRIBER_BITS: u32 = 64;

/// Bits of the largest IPv6 network that one customer gets, with any number of networks of
/// [`SUBSCRIBER_BITS`] in it: it may do as much as a few of those
/// ([`crate::limit::WIDER_NETWORK`]).
pub const NETWORK_BITS: u32 = 48;

/// The IPv6 network of `bits` bits, since one person easily has many of its addresses. An IPv4
/// address stays unchanged, also if it is written as an IPv6 address.
pub fn network_of(address: IpAddr, bits: u32) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(
            address.to_bits() & (u128::MAX << (128 - bits)),
        )),
    }
}

/// The network of one subscriber that the address is in.
pub fn neighbourhood(address: IpAddr) -> IpAddr {
    network_of(address, SUBSCRIBER_BITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_in_ipv6_count_together() {
        let of = |text: &str| neighbourhood(text.parse().unwrap()).to_string();
        assert_eq!(
            (
                of("2001:db8::1:2:3:4"),
                of("::ffff:192.0.2.1"),
                of("192.0.2.1")
            ),
            ("2001:db8::".into(), "192.0.2.1".into(), "192.0.2.1".into())
        );
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
    }
}
