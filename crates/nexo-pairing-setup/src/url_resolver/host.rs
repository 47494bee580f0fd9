//! The host of a URL, as the one who connects to it sees it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nexo_pairing_core::limits::MAX_HOST_BYTES;

/// A host in the one form in which hosts are compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Host {
    /// A name in lower-case ASCII, without the dot that may stand at its end.
    Name(String),
    V4(Ipv4Addr),
    /// None of the addresses that stand for an IPv4 address.
    V6(Ipv6Addr),
}

impl Host {
    /// The host that the parser of URLs found; `None` for a name that no name server knows.
    pub(super) fn of_url(host: url::Host<&str>) -> Option<Self> {
        match host {
            url::Host::Domain(name) => {
                let name = name.strip_suffix('.').unwrap_or(name);
                is_name(name).then(|| Self::Name(name.to_owned()))
            }
            url::Host::Ipv4(address) => Some(Self::V4(address)),
            url::Host::Ipv6(address) => {
                Some(address.to_ipv4_mapped().map_or(Self::V6(address), Self::V4))
            }
        }
    }

    /// Reads a host that stands alone, as in a list of hosts; an IPv6 address with or without
    /// brackets.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.len() > 2 * MAX_HOST_BYTES {
            return None;
        }
        let host = match text.parse::<Ipv6Addr>() {
            Ok(address) => url::Host::Ipv6(address),
            Err(_) => url::Host::parse(text).ok()?,
        };
        match &host {
            url::Host::Domain(name) => Self::of_url(url::Host::Domain(name.as_str())),
            url::Host::Ipv4(address) => Self::of_url(url::Host::Ipv4(*address)),
            url::Host::Ipv6(address) => Self::of_url(url::Host::Ipv6(*address)),
        }
    }

    /// Whether it is the machine itself that is meant.
    pub(super) fn is_this_machine(&self) -> bool {
        match self {
            // RFC 6761, section 6.3: also the names below it are loopback.
            Self::Name(name) => name == "localhost" || name.ends_with(".localhost"),
            Self::V4(address) => address.is_loopback() || address.is_unspecified(),
            Self::V6(address) => address.is_loopback() || address.is_unspecified(),
        }
    }

    /// Whether what is sent to it without encryption stays in a private network. The emulator's way
    /// to its host, `10.0.2.2`, is one of these.
    pub(super) fn is_private(&self) -> bool {
        match self {
            Self::Name(name) => self.is_this_machine() || name.ends_with(".local"),
            Self::V4(address) => {
                address.is_loopback() || address.is_private() || address.is_link_local()
            }
            Self::V6(address) => {
                address.is_loopback()
                    || address.is_unicast_link_local()
                    || address.is_unique_local()
            }
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::V4(address) => IpAddr::from(*address).fmt(f),
            Self::V6(address) => write!(f, "[{address}]"),
        }
    }
}

/// Labels of 1 to 63 letters, digits, hyphens and underscores. The parser lets more pass, such as
/// the `${HOST}` and the `*` of somebody who forgot to fill something in.
fn is_name(name: &str) -> bool {
    let is_inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    let is_label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(is_inner);
    name.len() <= MAX_HOST_BYTES && name.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A name of four labels, some letters of which are written as `%61`, in so many bytes.
    fn encoded(name_bytes: usize, bytes: usize) -> String {
        let labels = [59, 59, 59, name_bytes - 180].map(|length| "a".repeat(length));
        labels.join(".").replacen('a', "%61", (bytes - name_bytes) / 2)
    }

    #[test]
    fn a_host_is_read_from_so_many_bytes_and_no_more() {
        let long = encoded(240, 2 * MAX_HOST_BYTES);
        assert_eq!(long.len(), 506);
        assert!(matches!(Host::parse(&long), Some(Host::Name(name)) if name.len() == 240));
        let longer = encoded(241, 507);
        assert_eq!((longer.len(), Host::parse(&longer)), (507, None));
    }
}
