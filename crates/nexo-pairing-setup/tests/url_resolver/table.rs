//! URLs, each with its result and the reason for it.

use nexo_pairing_core::setup_code::MAX_URL_BYTES;
use nexo_pairing_setup::url_resolver::{ResolveError, ResolvedUrl, UrlInputs, resolve};
use tempfile::TempDir;

use crate::{flag, message_of, no_source, tunnel, write};

/// The result for a URL in one line: `URL`, `URL [warnings]` or the problem.
pub(crate) fn answer(inputs: &UrlInputs) -> String {
    match resolve(inputs) {
        Ok(ResolvedUrl { url, warnings, .. }) if warnings.is_empty() => url,
        Ok(ResolvedUrl { url, warnings, .. }) => {
            let kinds: Vec<_> = warnings.iter().map(|warning| warning.kind()).collect();
            format!("{url} [{}]", kinds.join(" "))
        }
        Err(ResolveError::InsecureCleartext { host, .. }) => format!("cleartext to {host}"),
        Err(ResolveError::Invalid { problem, .. }) => problem.to_string(),
        Err(error) => error.to_string(),
    }
}

pub(crate) const SCHEME: &str = "its scheme is not wss, https, ws or http";
const NO_SCHEME: &str = "it does not begin with a scheme, such as wss://";
const NO_HOST: &str = "it has no host";
const HOST: &str = "its host is neither an address nor a host name";
const PORT: &str = "its port is not a number from 1 to 65535";
const USER: &str = "it contains user information, before an `@`";
const FRAGMENT: &str = "it contains a fragment, after a `#`";

/// A URL, its answer, and the reason for it.
#[rustfmt::skip]
const TABLE: &[(&str, &str, &str)] = &[
    // Encrypted: any host.
    ("wss://nexo.example.com", "wss://nexo.example.com/pair", "no path"),
    ("https://nexo.example.com", "https://nexo.example.com/pair", "https passes as it is"),
    ("WSS://Nexo.Example.COM", "wss://nexo.example.com/pair", "case does not matter"),
    ("  wss://nexo.example.com\n", "wss://nexo.example.com/pair", "white space around it"),
    ("wss://8.8.8.8", "wss://8.8.8.8/pair", "an address in public"),
    ("wss://[2001:db8::1]:8443", "wss://[2001:db8::1]:8443/pair", "an IPv6 address in public"),
    ("wss://h_1.example", "wss://h_1.example/pair", "some names have underscores"),
    ("wss://127.0.0.1", "wss://127.0.0.1/pair [this_machine]", "no other device reaches it"),
    ("wss://0.0.0.0", "wss://0.0.0.0/pair [this_machine]", "where a server listens, not where it is"),

    // Paths and queries.
    ("wss://h/", "wss://h/pair", "the same as no path"),
    ("wss://h/a/..", "wss://h/pair", "no path, in more words"),
    ("wss://h/pair", "wss://h/pair", "what is there stays"),
    ("wss://h/pair/", "wss://h/pair/", "with its slash"),
    ("wss://h/gateway", "wss://h/gateway", "another path"),
    ("wss://h//", "wss://h//", "also a path"),
    ("wss://h/ñ", "wss://h/%C3%B1", "in ASCII"),
    ("wss://h?tenant=a", "wss://h/pair?tenant=a", "a query is kept"),
    ("wss://h/p?a=b@c", "wss://h/p?a=b@c", "no user information there"),

    // Not encrypted: private networks.
    ("ws://localhost:9000", "ws://localhost:9000/pair [cleartext this_machine]", "loopback"),
    ("ws://LOCALHOST.", "ws://localhost./pair [cleartext this_machine]", "the same name, complete"),
    ("ws://a.localhost", "ws://a.localhost/pair [cleartext this_machine]", "RFC 6761: loopback"),
    ("http://127.0.0.1:9000", "http://127.0.0.1:9000/pair [cleartext this_machine]", "loopback"),
    ("ws://127.255.255.254", "ws://127.255.255.254/pair [cleartext this_machine]", "127/8"),
    ("ws://2130706433/", "ws://127.0.0.1/pair [cleartext this_machine]", "a number is an address"),
    ("ws://0x7f.1/", "ws://127.0.0.1/pair [cleartext this_machine]", "so are its parts"),
    ("ws://0177.0.0.1", "ws://127.0.0.1/pair [cleartext this_machine]", "octal"),
    ("ws://127.0.0.1.", "ws://127.0.0.1/pair [cleartext this_machine]", "a trailing dot"),
    ("ws://%31%32%37.0.0.1", "ws://127.0.0.1/pair [cleartext this_machine]", "percent-encoded"),
    ("ws://１２７.０.０.１", "ws://127.0.0.1/pair [cleartext this_machine]", "full-width"),
    ("ws://[::1]:9000", "ws://[::1]:9000/pair [cleartext this_machine]", "loopback"),
    ("ws://[::ffff:127.0.0.1]", "ws://[::ffff:7f00:1]/pair [cleartext this_machine]", "mapped"),
    ("ws://10.0.2.2:9000", "ws://10.0.2.2:9000/pair [cleartext]", "the emulator's host"),
    ("ws://10.1.2.3", "ws://10.1.2.3/pair [cleartext]", "RFC 1918"),
    ("ws://172.16.0.1", "ws://172.16.0.1/pair [cleartext]", "RFC 1918"),
    ("ws://172.31.255.255", "ws://172.31.255.255/pair [cleartext]", "RFC 1918"),
    ("ws://192.168.1.10:9090", "ws://192.168.1.10:9090/pair [cleartext]", "RFC 1918"),
    ("ws://169.254.1.5", "ws://169.254.1.5/pair [cleartext]", "link-local"),
    ("ws://[fe80::1]", "ws://[fe80::1]/pair [cleartext]", "link-local"),
    ("ws://[febf::1]", "ws://[febf::1]/pair [cleartext]", "fe80::/10 ends here"),
    ("ws://[fd00::1]", "ws://[fd00::1]/pair [cleartext]", "unique local"),
    ("ws://[fc00::1]", "ws://[fc00::1]/pair [cleartext]", "unique local"),
    ("ws://[::ffff:10.0.0.1]", "ws://[::ffff:a00:1]/pair [cleartext]", "mapped, RFC 1918"),
    ("ws://kitchen-pi.local:9090", "ws://kitchen-pi.local:9090/pair [cleartext]", "multicast DNS"),
    ("ws://Kitchen-Pi.LOCAL.", "ws://kitchen-pi.local./pair [cleartext]", "the same name, complete"),
    ("ws://a.b.local", "ws://a.b.local/pair [cleartext]", "below .local"),
    ("ws://küche.local", "ws://xn--kche-0ra.local/pair [cleartext]", "in ASCII"),
    ("ws://kitchen-pi。local", "ws://kitchen-pi.local/pair [cleartext]", "a dot of another script"),

    // Not encrypted: anywhere else.
    ("ws://nexo.example.com", "cleartext to nexo.example.com", "public"),
    ("http://8.8.8.8", "cleartext to 8.8.8.8", "public"),
    ("ws://localhost.evil.com", "cleartext to localhost.evil.com", "below evil.com"),
    ("ws://evil.local.com", "cleartext to evil.local.com", "below local.com"),
    ("ws://10.0.2.2.evil.com", "cleartext to 10.0.2.2.evil.com", "a name, not an address"),
    ("ws://evillocalhost", "cleartext to evillocalhost", "another name"),
    ("ws://local", "cleartext to local", "not below .local"),
    ("ws://local.", "cleartext to local", "not below .local"),
    ("ws://evil.com/.local", "cleartext to evil.com", "a path is not a host"),
    ("ws://evil.com?.local", "cleartext to evil.com", "a query is not a host"),
    ("ws://127.1.evil.com", "cleartext to 127.1.evil.com", "a name, not an address"),
    ("ws://128.0.0.1", "cleartext to 128.0.0.1", "one above 127/8"),
    ("ws://11.0.0.1", "cleartext to 11.0.0.1", "one above 10/8"),
    ("ws://172.32.0.1", "cleartext to 172.32.0.1", "one above 172.16/12"),
    ("ws://172.15.255.255", "cleartext to 172.15.255.255", "one below 172.16/12"),
    ("ws://192.169.0.1", "cleartext to 192.169.0.1", "one above 192.168/16"),
    ("ws://169.255.0.1", "cleartext to 169.255.0.1", "one above 169.254/16"),
    ("ws://100.64.0.1", "cleartext to 100.64.0.1", "shared by the customers of a provider"),
    ("ws://0.0.0.0", "cleartext to 0.0.0.0", "not the address of a host"),
    ("ws://134744072", "cleartext to 8.8.8.8", "a number is an address"),
    ("ws://[::]", "cleartext to [::]", "not the address of a host"),
    ("ws://[2001:db8::1]", "cleartext to [2001:db8::1]", "public"),
    ("ws://[fec0::1]", "cleartext to [fec0::1]", "one above fe80::/10"),
    ("ws://[fe00::1]", "cleartext to [fe00::1]", "one above fc00::/7"),
    ("ws://[::ffff:8.8.8.8]", "cleartext to 8.8.8.8", "mapped: what is in it counts"),
    ("ws://[::10.0.0.1]", "cleartext to [::a00:1]", "not mapped, and not routed so"),
    ("ws://[64:ff9b::10.0.0.1]", "cleartext to [64:ff9b::a00:1]", "through a translator"),
    ("ws://bücher.example", "cleartext to xn--bcher-kva.example", "public, in ASCII"),
    ("ws://locаlhost", "cleartext to xn--loclhost-36g", "a Cyrillic letter"),
    ("ws://evil%2ecom", "cleartext to evil.com", "percent-encoded"),

    // User information.
    ("ws://127.0.0.1:x@evil.com", USER, "0.1.8 took this for 127.0.0.1"),
    ("wss://user:pw@h", USER, "a password in a code that is shown"),
    ("wss://user@h", USER, "a user"),
    ("wss://@h", USER, "an empty user"),
    ("wss://:@h", USER, "an empty password"),
    ("wss://a@b@h", USER, "twice"),
    ("ws://localhost:80@evil.com:80", USER, "not a valid port"),

    // Hosts.
    ("wss:///pair", NO_HOST, "browsers take `pair` for the host"),
    ("wss://", NO_HOST, "nothing behind the slashes"),
    ("wss:////h", NO_HOST, "browsers drop the slashes"),
    ("wss://?a", NO_HOST, "a query"),
    ("wss://#a", NO_HOST, "a fragment"),
    ("wss://:9000", NO_HOST, "a port"),
    ("wss://%C2%AD", NO_HOST, "nothing but a soft hyphen, which names lose"),
    ("wss://.", HOST, "an empty name"),
    ("wss://.local", HOST, "an empty label"),
    ("ws://.localhost", HOST, "an empty label"),
    ("wss://a..b", HOST, "an empty label"),
    ("wss://h..", HOST, "two trailing dots"),
    ("wss://${HOST}", HOST, "not filled in"),
    ("wss://*.example.com", HOST, "a pattern"),
    ("wss://256.0.0.1", HOST, "no address"),
    ("wss://1.2.3.4.5", HOST, "no address"),
    ("wss://evil.0x", HOST, "no address, though it ends like one"),
    ("wss://[::1", HOST, "not closed"),
    ("wss://[fe80::1%25eth0]", HOST, "a zone says nothing to another machine"),
    ("wss://h%00.example", HOST, "a NUL in the host"),
    ("wss://h%2fpath", HOST, "a slash in the host"),
    ("wss://h|x", HOST, "a character that no host has"),

    // Ports.
    ("wss://h:443", "wss://h/pair", "what it is anyway"),
    ("wss://h:", "wss://h/pair", "no port"),
    ("wss://h:65535", "wss://h:65535/pair", "the last"),
    ("wss://h:0", PORT, "cannot be connected to"),
    ("wss://h:70000", PORT, "above 65535"),
    ("wss://h:-1", PORT, "no number"),
    ("wss://h:9000x", PORT, "no number"),

    // Fragments.
    ("wss://h/#f", FRAGMENT, "it is never sent"),
    ("wss://h#", FRAGMENT, "an empty one"),

    // Schemes.
    ("ftp://h", SCHEME, "not for companions"),
    ("javascript://h/%0aalert(1)", SCHEME, "not for companions"),
    ("wss+x://h", SCHEME, "another one"),
    ("//h", NO_SCHEME, "none"),
    ("nexo.example.com", NO_SCHEME, "none"),
    ("nexo.example.com:8443", NO_SCHEME, "a host and a port"),
    ("localhost:9000/pair", NO_SCHEME, "a host and a port"),
    ("wss:h", NO_SCHEME, "browsers add the slashes"),
    ("wss:/h", NO_SCHEME, "browsers add a slash"),
    ("/pair", NO_SCHEME, "a path"),
    ("://h", SCHEME, "an empty one"),

    // What browsers silently drop or change.
    ("", "it is empty", "set, so not skipped"),
    (" \t ", "it is empty", "set, so not skipped"),
    ("wss://h.exa\tmple", "it contains a tab", "browsers drop it"),
    ("wss://h.exa\nmple", "it contains a line break", "browsers drop it"),
    ("ws\ns://evil.com", "it contains a line break", "browsers drop it"),
    ("wss://h/a b", "it contains a space", "browsers encode it"),
    ("wss://h/\u{0}", "it contains a control character U+0000", "browsers encode it"),
    ("wss://h/\u{7f}", "it contains a control character U+007F", "browsers encode it"),
    ("wss://h\u{a0}x", "it contains a white space character U+00A0", "of another kind"),
    ("wss://evil.com\\@localhost", "it contains a backslash", "browsers make it a slash"),
    ("wss:\\\\h", "it contains a backslash", "browsers make them slashes"),
];

#[test]
fn every_url_has_the_expected_result() {
    for (url, expected, reason) in TABLE {
        assert_eq!(answer(&flag(url)), *expected, "{url:?}: {reason}");
        if let Err(error) = resolve(&flag(url)) {
            assert!(error.hint().contains(' '), "{url:?} has no hint");
        }
    }
}

#[test]
fn every_source_is_checked_in_the_same_way() {
    let home = TempDir::new().unwrap();
    for (url, expected, reason) in TABLE.iter().filter(|(url, ..)| !url.trim().is_empty()) {
        let mut inputs = no_source();
        inputs.public_url = Some((*url).to_owned());
        assert_eq!(answer(&inputs), *expected, "{url:?}: {reason}");
        let mut inputs = no_source();
        inputs.tunnel_url = Some((*url).to_owned());
        assert_eq!(answer(&inputs), *expected, "{url:?}: {reason}");
        // A line break in a file is another problem.
        if !url.trim().contains('\n') {
            let inputs = tunnel(&write(&home, "tunnel.url", url));
            assert_eq!(answer(&inputs), *expected, "{url:?}: {reason}");
        }
    }
}

#[test]
fn lengths_are_limited_before_and_after_parsing() {
    let url = |length: usize, filler: &str| {
        let head = "wss://h/";
        format!("{head}{}", filler.repeat((length - head.len()) / filler.len()))
    };
    assert_eq!(answer(&flag(&url(MAX_URL_BYTES, "a"))), url(MAX_URL_BYTES, "a"));
    for (url, expected) in [
        (url(1025, "a"), "it has 1025 bytes, at most 1024 are allowed"),
        // 516 characters of 2 bytes, 6 bytes each when they are encoded.
        (url(1040, "é"), "it has 3104 bytes, at most 1024 are allowed"),
        (url(2049, "a"), "it has 2049 bytes, at most 2048 are allowed"),
        ("a".repeat(1 << 20), "it has 1048576 bytes, at most 2048 are allowed"),
        (format!("wss://{}.example", "a".repeat(64)), HOST),
        (format!("wss://{}", "a.".repeat(128)), HOST),
    ] {
        let shown: String = url.chars().take(40).collect();
        assert_eq!(answer(&flag(&url)), expected, "{shown}");
        let message = message_of(&resolve(&flag(&url)).unwrap_err());
        let is_cut = url.chars().count() > 120;
        assert_eq!(message.contains("…` from"), is_cut, "{message}");
        assert!(message.chars().count() < 300, "{message}");
    }
}
