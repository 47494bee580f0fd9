//! The host of a URL, as a client that connects to it sees it.

use std::net::Ipv6Addr;

use nexo_pairing_core::limits::MAX_HOST_BYTES;

/// A host in the form in which hosts are compared, if it comes from this module: a name in lower-case
/// ASCII without a dot at its end, and no IPv6 address that stands for an IPv4 address.
pub(super) type Host = url::Host<String>;

/// The host that the parser of URLs found; `None` for an invalid host name.
pub(super) fn normalize(host: Host) -> Option<Host> {
    match host {
        Host::Domain(mut name) => {
            name.truncate(name.strip_suffix('.').unwrap_or(&name).len());
            is_name(&name).then_some(Host::Domain(name))
        }
        Host::Ipv6(address) => Some(address.to_ipv4_mapped().map_or(host, Host::Ipv4)),
        Host::Ipv4(_) => Some(host),
    }
}

/// Parses a host without a URL, as in a list of hosts; an IPv6 address with or without brackets.
pub(super) fn parse(text: &str) -> Option<Host> {
    let text = text.trim();
    if text.len() > 2 * MAX_HOST_BYTES {
        return None;
    }
    let host = match text.parse::<Ipv6Addr>() {
        Ok(address) => Host::Ipv6(address),
        Err(_) => Host::parse(text).ok()?,
    };
    normalize(host)
}

/// Whether a host is the machine itself.
pub(super) fn is_this_machine(host: &Host) -> bool {
    match host {
        // RFC 6761, section 6.3: the names below it are loopback, too.
        Host::Domain(name) => name == "localhost" || name.ends_with(".localhost"),
        Host::Ipv4(address) => address.is_loopback() || address.is_unspecified(),
        Host::Ipv6(address) => address.is_loopback() || address.is_unspecified(),
    }
}

/// Whether unencrypted traffic to a host stays in a private network. `10.0.2.2`, by which an emulator
/// reaches its host, is included.
pub(super) fn is_private(host: &Host) -> bool {
    match host {
        Host::Domain(name) => is_this_machine(host) || name.ends_with(".local"),
        Host::Ipv4(address) => {
            address.is_loopback() || address.is_private() || address.is_link_local()
        }
        Host::Ipv6(address) => {
            address.is_loopback() || address.is_unicast_link_local() || address.is_unique_local()
        }
    }
}

/// Labels of 1 to 63 letters, digits, hyphens and underscores. The parser accepts more, such as the
/// `${HOST}` or `*` of a template that was not filled in.
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
        assert!(matches!(parse(&long), Some(Host::Domain(name)) if name.len() == 240));
        let longer = encoded(241, 507);
        assert_eq!((longer.len(), parse(&longer)), (507, None));
    }
}
