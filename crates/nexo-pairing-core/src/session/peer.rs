//! The network address of a client: personal data, so `Debug` does not show it.

use std::fmt;
use std::net::IpAddr;

use serde::Serialize;

/// The address from which a client claimed a setup code or used its session.
///
/// `Display` and JSON show it, for the audit log and lists of devices. `Debug` does not, so it does not
/// get into logs and errors.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct PeerAddress(IpAddr);

impl PeerAddress {
    /// Reads an address from the database; `None` if another program wrote something else.
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

/// An IPv4 address that is written as an IPv6 one is stored as IPv4.
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
    fn is_shown_in_lists_and_hidden_in_debug() {
        let mapped: IpAddr = "::ffff:203.0.113.7".parse().unwrap();
        let peer = PeerAddress::from(mapped);
        assert_eq!(peer.to_string(), "203.0.113.7");
        assert_eq!(serde_json::to_string(&peer).unwrap(), "\"203.0.113.7\"");
        assert_eq!(format!("{peer:?}"), "PeerAddress(redacted)");
        assert_eq!(PeerAddress::from_stored("203.0.113.7"), Some(peer));
        assert_eq!(PeerAddress::from_stored("203.0.113.7 "), None);
    }
}
