//! Where a request really came from: the peer, or the address that a trusted proxy reports.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use axum::http::{HeaderMap, HeaderName};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Address and port of the peer, set by the listener among a request's extensions.
#[derive(Clone, Copy, Debug)]
pub struct PeerAddress(pub std::net::SocketAddr);

/// Headers that proxies add to a request they pass on, besides `X-Forwarded-…`.
const PROXY_HEADERS: [&str; 12] = [
    "forwarded",
    "via",
    "x-real-ip",
    "x-client-ip",
    "x-original-forwarded-for",
    "x-original-host",
    "x-envoy-external-address",
    "x-cluster-client-ip",
    "true-client-ip",
    "cf-connecting-ip",
    "fastly-client-ip",
    "cdn-loop",
];

/// Most proxies that one request may have passed; further entries are ignored.
const MAX_HOPS: usize = 32;

/// A range of addresses, written `10.0.0.0/8`, `fd00::/8`, or a single address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

/// The text is not a range of addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no address and no network; write 192.0.2.7, 10.0.0.0/8 or fd00::/8")]
pub struct InvalidNetwork(pub String);

impl Network {
    /// The addresses of the machine itself.
    pub fn loopback() -> Vec<Network> {
        vec![
            Network {
                address: IpAddr::from([127, 0, 0, 0]),
                prefix: 8,
            },
            Network {
                address: IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]),
                prefix: 128,
            },
        ]
    }

    /// Whether the address is in the range.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                shifted(network.to_bits().into(), 32, self.prefix)
                    == shifted(address.to_bits().into(), 32, self.prefix)
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                shifted(network.to_bits(), 128, self.prefix)
                    == shifted(address.to_bits(), 128, self.prefix)
            }
            _ => false,
        }
    }
}

/// The leading `prefix` bits of a number of `width` bits.
fn shifted(bits: u128, width: u32, prefix: u8) -> u128 {
    bits.checked_shr(width - u32::from(prefix)).unwrap_or(0)
}

impl FromStr for Network {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidNetwork(text.chars().take(64).collect());
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.trim().parse().map_err(|_| invalid())?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            Some(prefix) => prefix
                .trim()
                .parse()
                .ok()
                .filter(|&prefix| prefix <= width)
                .ok_or_else(invalid)?,
            None => width,
        };
        Ok(Self { address, prefix })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.address, self.prefix)
    }
}

/// Where a request came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Client {
    pub(crate) address: IpAddr,
    /// Whether an untrusted peer claims that the request was forwarded. Then the address may be
    /// that of an unconfigured proxy, and proves nothing.
    pub(crate) claims_unproven: bool,
}

/// The client's address: the peer's, unless the peer is a trusted proxy; then the last
/// entry of `X-Forwarded-For` that is not a trusted proxy itself. Entries further left were
/// written by the client and are never believed.
pub(crate) fn resolve(peer: IpAddr, headers: &HeaderMap, trusted: &[Network]) -> Client {
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    let mut address = peer.to_canonical();
    if !is_trusted(address) {
        return Client {
            address,
            claims_unproven: came_through_a_proxy(headers),
        };
    }
    let values: Vec<&str> = headers
        .get_all(X_FORWARDED_FOR)
        .iter()
        .map(|value| value.to_str().unwrap_or(""))
        .collect();
    for entry in values
        .iter()
        .rev()
        .flat_map(|value| value.rsplit(','))
        .take(MAX_HOPS)
    {
        // An entry that is not an address ends the walk: it is unknown who is behind this hop.
        let Some(hop) = parse_hop(entry.trim()) else {
            return Client {
                address,
                claims_unproven: true,
            };
        };
        address = hop;
        if !is_trusted(hop) {
            return Client {
                address,
                claims_unproven: false,
            };
        }
    }
    // Only trusted proxies: one of them asks for itself, or does not say for whom.
    Client {
        address,
        claims_unproven: values.is_empty() && came_through_a_proxy(headers),
    }
}

/// Whether any header says that the request was passed on. Proxies differ in which they send. The
/// client can send them as well, but gains nothing by it.
fn came_through_a_proxy(headers: &HeaderMap) -> bool {
    let is_of_a_proxy =
        |name: &str| name.starts_with("x-forwarded-") || PROXY_HEADERS.contains(&name);
    headers.keys().any(|name| is_of_a_proxy(name.as_str()))
}

/// An address with or without port: `192.0.2.7`, `192.0.2.7:80`, `2001:db8::1`, `[2001:db8::1]:80`.
fn parse_hop(text: &str) -> Option<IpAddr> {
    let address = text.parse().ok().or_else(|| {
        text.parse()
            .ok()
            .map(|socket: std::net::SocketAddr| socket.ip())
    });
    let bare = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    address
        .or_else(bare)
        .map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(peer: &str, forwarded: &[&str], trusted: &[&str], expected: &str) {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append(X_FORWARDED_FOR, value.parse().unwrap());
        }
        let trusted: Vec<Network> = trusted.iter().map(|text| text.parse().unwrap()).collect();
        assert_eq!(
            resolve(peer.parse().unwrap(), &headers, &trusted).address,
            expected.parse::<IpAddr>().unwrap(),
            "{peer} {forwarded:?}"
        );
    }

    #[test]
    fn a_stranger_cannot_choose_an_address() {
        check(
            "203.0.113.9",
            &["198.51.100.1"],
            &["10.0.0.0/8"],
            "203.0.113.9",
        );
        check("203.0.113.9", &["198.51.100.1"], &[], "203.0.113.9");
    }

    #[test]
    fn behind_a_trusted_proxy_the_last_untrusted_hop_counts() {
        check(
            "10.0.0.1",
            &["198.51.100.1"],
            &["10.0.0.0/8"],
            "198.51.100.1",
        );
        check(
            "10.0.0.1",
            &["1.1.1.1, 198.51.100.1, 10.9.9.9"],
            &["10.0.0.0/8"],
            "198.51.100.1",
        );
        check(
            "10.0.0.1",
            &["1.1.1.1", "198.51.100.1"],
            &["10.0.0.0/8"],
            "198.51.100.1",
        );
        check(
            "::ffff:10.0.0.1",
            &["[2001:db8::1]:4711"],
            &["10.0.0.0/8"],
            "2001:db8::1",
        );
        check(
            "10.0.0.1",
            &["198.51.100.1:80"],
            &["10.0.0.0/8"],
            "198.51.100.1",
        );
    }

    #[test]
    fn what_is_no_address_ends_the_walk() {
        check(
            "10.0.0.1",
            &["198.51.100.1, garbage"],
            &["10.0.0.0/8"],
            "10.0.0.1",
        );
        check(
            "10.0.0.1",
            &["198.51.100.1, garbage, 10.0.0.2"],
            &["10.0.0.0/8"],
            "10.0.0.2",
        );
        check("10.0.0.1", &[], &["10.0.0.0/8"], "10.0.0.1");
    }

    #[test]
    fn a_claim_of_being_forwarded_is_noticed_when_nobody_trusted_makes_it() {
        let headers = HeaderMap::from_iter([(X_FORWARDED_FOR, "198.51.100.1".parse().unwrap())]);
        assert!(resolve([127, 0, 0, 1].into(), &headers, &[]).claims_unproven);
        assert!(!resolve([127, 0, 0, 1].into(), &headers, &Network::loopback()).claims_unproven);
        assert!(!resolve([127, 0, 0, 1].into(), &HeaderMap::new(), &[]).claims_unproven);
    }

    #[test]
    fn every_header_that_proxies_add_is_such_a_claim() {
        for name in [
            "Via",
            "X-Real-IP",
            "X-Forwarded-Host",
            "X-Forwarded-Proto",
            "Forwarded",
            "CF-Connecting-IP",
            "True-Client-IP",
        ] {
            let headers = HeaderMap::from_iter([(
                name.parse::<HeaderName>().unwrap(),
                "1.1 x".parse().unwrap(),
            )]);
            assert!(
                resolve([127, 0, 0, 1].into(), &headers, &[]).claims_unproven,
                "{name}"
            );
            assert!(
                resolve([127, 0, 0, 1].into(), &headers, &Network::loopback()).claims_unproven,
                "{name}: nobody says who is behind the trusted proxy"
            );
        }
        let headers = HeaderMap::from_iter([(X_FORWARDED_FOR, "garbage".parse().unwrap())]);
        assert!(resolve([127, 0, 0, 1].into(), &headers, &Network::loopback()).claims_unproven);
        let headers =
            HeaderMap::from_iter([(axum::http::header::USER_AGENT, "curl".parse().unwrap())]);
        assert!(!resolve([127, 0, 0, 1].into(), &headers, &[]).claims_unproven);
    }

    #[test]
    fn networks_read_back_and_nonsense_does_not() {
        for text in ["10.0.0.0/8", "0.0.0.0/0", "fd00::/8", "::1/128"] {
            assert_eq!(text.parse::<Network>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "10.0.0.0/33",
            "fd00::/129",
            "example.org",
            "10.0.0.0/-1",
            "10.0.0/8",
        ] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
        assert!(
            "0.0.0.0/0"
                .parse::<Network>()
                .unwrap()
                .contains([198, 51, 100, 1].into())
        );
        assert!(
            !"0.0.0.0/0"
                .parse::<Network>()
                .unwrap()
                .contains("2001:db8::1".parse().unwrap())
        );
    }

    proptest! {
        #[test]
        fn an_untrusted_peer_is_always_itself(peer: [u8; 4], forwarded in "[ -~]{0,60}") {
            let headers = HeaderMap::from_iter([(X_FORWARDED_FOR, forwarded.parse().unwrap())]);
            prop_assert_eq!(resolve(peer.into(), &headers, &[]).address, IpAddr::from(peer));
        }
    }
}
