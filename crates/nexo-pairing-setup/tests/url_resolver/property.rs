//! Properties of every URL.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nexo_pairing_core::setup_code::MAX_URL_BYTES;
use nexo_pairing_setup::url_resolver::resolve;
use proptest::prelude::*;

use crate::flag;

/// Parts of URLs, and characters that break them.
fn any_url() -> impl Strategy<Value = String> {
    let scheme = prop::sample::select(vec![
        "ws://", "wss://", "http://", "https://", "WS://", "ws:", "ftp://", "//", "", "ws:///",
        "ws:\\\\",
    ]);
    let host = prop_oneof![
        prop::sample::select(vec![
            "localhost",
            "a.localhost",
            "kitchen.local",
            "evil.com",
            "local",
            "10.0.2.2",
            "0x7f.1",
            "2130706433",
            "[::1]",
            "[::]",
            "[fe80::1]",
            "[fd00::1]",
            "küche.local",
            "１２７.0.0.1",
            "%6cocalhost",
            "a..b",
            "xn--a",
            "",
        ])
        .prop_map(str::to_owned),
        any::<u32>().prop_map(|bits| Ipv4Addr::from(bits).to_string()),
        any::<u128>().prop_map(|bits| format!("[{}]", Ipv6Addr::from(bits))),
        any::<u32>().prop_map(|bits| format!("[::ffff:{}]", Ipv4Addr::from(bits))),
        "[a-z0-9.%-]{1,12}",
        ".{0,6}",
    ];
    let user = prop::sample::select(vec!["", "", "", "", "u@", "u:p@", "@", ":@"]);
    let port = prop::sample::select(vec!["", "", "", ".", ":80", ":0", ":70000", ":", ":x"]);
    let rest = prop_oneof!["", "(/[a-zé%.@]{0,4}){0,3}", "[?#/][ -~]{0,8}", ".{0,6}"];
    (scheme, user, host, port, rest)
        .prop_map(|(scheme, user, host, port, rest)| format!("{scheme}{user}{host}{port}{rest}"))
}

/// Whether the host of a URL is in a private network, by an independent rule.
fn is_private(host: &str) -> bool {
    let name = host.strip_suffix('.').unwrap_or(host);
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    match address.map(|address| address.to_canonical()) {
        Ok(IpAddr::V4(address)) => {
            let [a, b, ..] = address.octets();
            matches!((a, b), (10 | 127, _) | (172, 16..=31) | (192, 168) | (169, 254))
        }
        Ok(IpAddr::V6(address)) => {
            let first = address.segments()[0];
            address == Ipv6Addr::LOCALHOST
                || (0xfe80..=0xfebf).contains(&first)
                || (0xfc00..=0xfdff).contains(&first)
        }
        Err(_) => name == "localhost" || name.ends_with(".localhost") || name.ends_with(".local"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn what_passes_is_what_it_seems(text in prop_oneof![4 => any_url(), 1 => any::<String>()]) {
        if let Ok(resolved) = resolve(&flag(&text)) {
            let url = url::Url::parse(&resolved.url).unwrap();
            prop_assert_eq!(url.as_str(), &resolved.url);
            prop_assert!(resolved.url.len() <= MAX_URL_BYTES);
            prop_assert!(resolved.url.bytes().all(|byte| byte.is_ascii_graphic()));
            prop_assert!(!url.path().is_empty() && url.path() != "/");
            prop_assert_eq!((url.username(), url.password(), url.fragment()), ("", None, None));
            prop_assert!(!resolved.url[..resolved.url.len() - url.path().len()
                - url.query().map_or(0, |query| query.len() + 1)].contains('@'));
            prop_assert!(url.port() != Some(0));
            let is_cleartext = match url.scheme() {
                "wss" | "https" => false,
                "ws" | "http" => true,
                scheme => panic!("{scheme}"),
            };
            prop_assert!(!is_cleartext || is_private(url.host_str().unwrap()));
            let warns = resolved.warnings.iter().any(|warning| warning.kind() == "cleartext");
            prop_assert_eq!(warns, is_cleartext);
            // Resolving it again changes nothing.
            prop_assert_eq!(resolve(&flag(&resolved.url)).unwrap().url, resolved.url);
        }
    }

    #[test]
    fn no_list_of_hosts_panics(entry in prop_oneof![any::<String>(), "[a-z0-9.:\\[\\]%*-]{0,30}"]) {
        let mut inputs = flag("ws://evil.com");
        inputs.ws_cleartext_allow = vec![entry];
        let _ = resolve(&inputs);
    }
}
