//! Addresses of the network, counted as those of one person.

use std::net::{IpAddr, Ipv6Addr};

/// Bits of an IPv6 network that one subscriber has whole, with all its addresses.
pub const SUBSCRIBER_BITS: u32 = 64;

/// Bits of an IPv6 network that one customer is given at most, for as many networks of
/// [`SUBSCRIBER_BITS`] as they like: it may do what a few of those may
/// ([`crate::limit::WIDER_NETWORK`]).
pub const NETWORK_BITS: u32 = 48;

/// What one person easily has many of counts as one: an IPv6 network of so many bits. An IPv4
/// address stays as it is, also where it is written as one of IPv6.
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
