//! Client addresses, also behind proxies.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use axum::http::HeaderMap;

/// The header in which proxies name their clients.
pub(crate) const FORWARDED_FOR: &str = "x-forwarded-for";

/// The unit of limits: one IPv4 address, or the /64 network that one IPv6 host can take its addresses
/// from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Peer {
    V4(u32),
    V6(u64),
}

impl Peer {
    /// The peer of an address. An IPv4-mapped IPv6 address counts as IPv4.
    pub(crate) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.to_bits()),
            IpAddr::V6(address) => Self::V6((address.to_bits() >> 64) as u64),
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::V4(bits) => write!(f, "{}", std::net::Ipv4Addr::from_bits(bits)),
            Self::V6(bits) => {
                write!(f, "{}/64", std::net::Ipv6Addr::from_bits(u128::from(bits) << 64))
            }
        }
    }
}

/// The address of a client: the connected address, or, if that is a trusted proxy, the last address in
/// `X-Forwarded-For` that is not. Earlier entries can be forged.
pub(crate) fn client_address(
    connected: IpAddr,
    headers: &HeaderMap,
    is_trusted: impl Fn(IpAddr) -> bool,
) -> IpAddr {
    let mut client = connected.to_canonical();
    let lists = headers.get_all(FORWARDED_FOR).iter().rev();
    for entry in lists.flat_map(|list| list.as_bytes().rsplit(|&byte| byte == b',')) {
        if !is_trusted(client) {
            break;
        }
        // A client without an address counts as its proxy.
        let Some(previous) = address(entry) else { break };
        client = previous;
    }
    client
}

/// An address, with or without a port.
fn address(entry: &[u8]) -> Option<IpAddr> {
    let entry = std::str::from_utf8(entry).ok()?.trim();
    let bare = entry.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(entry);
    let address = bare.parse().or_else(|_| entry.parse().map(|with: SocketAddr| with.ip()));
    address.ok().map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// The client behind 10.0.0.1, where 10.0.0.0/8 and fd00::/16 are trusted.
    fn behind(connected: &str, forwarded: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for list in forwarded {
            headers.append("x-forwarded-for", HeaderValue::from_str(list).unwrap());
        }
        let is_trusted = |address: IpAddr| match address {
            IpAddr::V4(address) => address.octets()[0] == 10,
            IpAddr::V6(address) => address.segments()[0] == 0xfd00,
        };
        client_address(ip(connected), &headers, is_trusted).to_string()
    }

    #[test]
    fn a_peer_is_an_ipv4_address_or_an_ipv6_network() {
        let peer = |text: &str| Peer::of(ip(text));
        assert_eq!(peer("192.0.2.1"), peer("::ffff:192.0.2.1"));
        assert_ne!(peer("192.0.2.1"), peer("192.0.2.2"));
        assert_eq!(peer("2001:db8::1"), peer("2001:db8::ffff:ffff:ffff:ffff"));
        assert_ne!(peer("2001:db8::1"), peer("2001:db8:0:1::1"));
        assert_ne!(peer("0.0.0.0"), peer("::"));
        assert_eq!(peer("2001:db8::1").to_string(), "2001:db8::/64");
        assert_eq!(peer("192.0.2.1").to_string(), "192.0.2.1");
    }

    #[test]
    fn only_a_trusted_proxy_names_its_clients() {
        assert_eq!(behind("192.0.2.1", &["198.51.100.7"]), "192.0.2.1");
        assert_eq!(behind("10.0.0.1", &["198.51.100.7"]), "198.51.100.7");
        assert_eq!(behind("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(behind("::ffff:10.0.0.1", &["198.51.100.7"]), "198.51.100.7");
    }

    #[test]
    fn the_last_address_that_is_not_a_proxy_counts() {
        assert_eq!(behind("10.0.0.1", &["1.1.1.1, 198.51.100.7"]), "198.51.100.7");
        assert_eq!(behind("10.0.0.1", &["1.1.1.1", "198.51.100.7, 10.0.0.2"]), "198.51.100.7");
        assert_eq!(behind("10.0.0.1", &["10.0.0.3,10.0.0.2"]), "10.0.0.3");
        assert_eq!(behind("fd00::1", &["2001:db8::1,fd00::2"]), "2001:db8::1");
    }

    #[test]
    fn ports_and_brackets_are_read_and_anything_else_ends_the_list() {
        assert_eq!(behind("10.0.0.1", &["198.51.100.7:4711"]), "198.51.100.7");
        assert_eq!(behind("10.0.0.1", &["[2001:db8::1]:4711"]), "2001:db8::1");
        assert_eq!(behind("10.0.0.1", &["[2001:db8::1]"]), "2001:db8::1");
        for junk in ["unknown", "", "1.2.3", "198.51.100.7 x", "_hidden", "[::1", "a:b"] {
            assert_eq!(behind("10.0.0.1", &["198.51.100.7", junk]), "10.0.0.1", "{junk}");
        }
    }
}
