//! The network address of a client.

use std::fmt;
use std::net::IpAddr;

use serde::Serialize;

/// The address from which a client claimed a setup code or used its session.
///
/// An address is personal data: `Display` and JSON show it, for the audit log and lists of devices, but
/// `Debug` does not, to keep it out of logs and errors.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct PeerAddress(IpAddr);

impl PeerAddress {
    /// Parses an address from a database; `None` if another program wrote something else.
    #[must_use]
    pub fn from_stored(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }

    /// The address.
    #[must_use]
    pub fn ip(self) -> IpAddr {
        self.0
    }
}

/// An IPv4-mapped IPv6 address becomes an IPv4 address.
impl From<IpAddr> for PeerAddress {
    fn from(address: IpAddr) -> Self {
        Self(address.to_canonical())
    }
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PeerAddress(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_and_json_show_the_address_and_debug_does_not() {
        let mapped: IpAddr = "::ffff:203.0.113.7".parse().unwrap();
        let peer = PeerAddress::from(mapped);
        assert_eq!(peer.to_string(), "203.0.113.7");
        assert_eq!(serde_json::to_string(&peer).unwrap(), "\"203.0.113.7\"");
        assert_eq!(format!("{peer:?}"), "PeerAddress(redacted)");
        assert_eq!(PeerAddress::from_stored("203.0.113.7"), Some(peer));
        assert_eq!(PeerAddress::from_stored("203.0.113.7 "), None);
    }
}
