//! A network in CIDR notation.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A network such as `10.0.0.0/8` or `fd00::/8`. A plain address is a network of one.
///
/// ```
/// use nexo_pairing_core::Network;
///
/// let proxies: Network = "10.0.0.0/8".parse()?;
/// assert!(proxies.contains("10.1.2.3".parse()?));
/// assert!(proxies.contains("::ffff:10.1.2.3".parse()?));
/// assert!(!proxies.contains("11.1.2.3".parse()?));
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// Whether `peer` is in this network. An IPv4-mapped IPv6 address (`::ffff:10.1.2.3`) counts as
    /// IPv4.
    #[must_use]
    pub fn contains(&self, peer: IpAddr) -> bool {
        match (self.address, peer.to_canonical()) {
            (IpAddr::V4(net), IpAddr::V4(peer)) => {
                (net.to_bits() ^ peer.to_bits()) & mask(self.prefix, 32) as u32 == 0
            }
            (IpAddr::V6(net), IpAddr::V6(peer)) => {
                (net.to_bits() ^ peer.to_bits()) & mask(self.prefix, 128) == 0
            }
            _ => false,
        }
    }

    /// The prefix length: 0 to 32, for IPv6 to 128.
    #[must_use]
    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Whether it is an IPv6 network.
    #[must_use]
    pub fn is_ipv6(&self) -> bool {
        self.address.is_ipv6()
    }
}

/// The network mask of an address of `width` bits.
fn mask(prefix: u8, width: u8) -> u128 {
    let host = u32::from(width - prefix);
    u128::MAX.checked_shl(host).unwrap_or(0)
}

/// Why a text is not a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// The address or the prefix length is invalid.
    #[error("not a network such as 10.0.0.0/8, fd00::/8 or 127.0.0.1")]
    Form,
    /// The address has bits set after the prefix, so the intent is unclear.
    #[error("has bits set after its first {prefix}: write a single address without `/{prefix}`")]
    HostBits {
        /// The prefix length.
        prefix: u8,
    },
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| NetworkError::Form)?;
        let (bits, width) = match address {
            IpAddr::V4(address) => (address.to_bits().into(), 32),
            IpAddr::V6(address) => (address.to_bits(), 128),
        };
        let prefix = prefix.map_or(Ok(width), str::parse).map_err(|_| NetworkError::Form)?;
        if prefix > width {
            return Err(NetworkError::Form);
        }
        if bits & !mask(prefix, width) != 0 {
            return Err(NetworkError::HostBits { prefix });
        }
        Ok(Self { address, prefix })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl Serialize for Network {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_parsed_and_displayed() {
        for (text, written) in [
            ("127.0.0.1/32", "127.0.0.1/32"),
            ("127.0.0.1", "127.0.0.1/32"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("::1", "::1/128"),
            ("fd00::/8", "fd00::/8"),
            ("::/0", "::/0"),
        ] {
            assert_eq!(text.parse::<Network>().unwrap().to_string(), written);
        }
    }

    #[test]
    fn invalid_networks_are_refused() {
        for bad in ["", "/", "/8", "10.0.0.0/", "10.0.0.0/33", "::/129", "10.0.0.0/-1", "a/8"] {
            assert_eq!(bad.parse::<Network>(), Err(NetworkError::Form), "{bad}");
        }
        assert_eq!("10.0.0.1/8".parse::<Network>(), Err(NetworkError::HostBits { prefix: 8 }));
        assert_eq!("fd00::1/8".parse::<Network>(), Err(NetworkError::HostBits { prefix: 8 }));
    }

    #[test]
    fn a_network_contains_only_its_addresses() {
        let contains = |network: &str, peer: &str| {
            network.parse::<Network>().unwrap().contains(peer.parse().unwrap())
        };
        assert!(contains("0.0.0.0/0", "8.8.8.8"));
        assert!(!contains("0.0.0.0/0", "::1"));
        assert!(contains("::/0", "::1"));
        assert!(contains("192.168.1.0/24", "192.168.1.255"));
        assert!(!contains("192.168.1.0/24", "192.168.2.0"));
        assert!(contains("fd00::/8", "fdff::1"));
        assert!(!contains("fd00::/8", "fe80::1"));
    }
}
