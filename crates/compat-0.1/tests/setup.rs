//! What callers of 0.1 see of setup codes, their URLs and QR codes.

use std::collections::HashSet;
use std::time::Duration;

use nexo_pairing::setup_code::{decode_setup_code, token_device_label, token_expires_at};
use nexo_pairing::url_resolver::{ResolveError, UrlInputs, resolve};
use nexo_pairing::{PairingError, SetupCodeIssuer, code, qr};

#[test]
fn a_token_is_verified_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pairing.key");
    let issuer = SetupCodeIssuer::open_or_create(&path).unwrap();
    let minute = Duration::from_secs(60);
    let code =
        issuer.issue("wss://nexo.example.com", "companion-v1", minute, Some("phone")).unwrap();
    let token = &code.bootstrap_token;
    assert_eq!(token_expires_at(token), Some(code.expires_at));
    assert_eq!(token_device_label(token).as_deref(), Some("phone"));
    assert!(!format!("{code:?}").contains(token.as_str()));
    assert_eq!(issuer.verify(token).unwrap().expires_at, code.expires_at);
    let other = SetupCodeIssuer::open_or_create(&path).unwrap();
    assert!(matches!(other.verify(token), Err(PairingError::Invalid(_))));
    assert!(matches!(other.verify("no token"), Err(PairingError::Invalid(_))));
    assert!(decode_setup_code("no code").is_err());
}

#[test]
fn arguments_out_of_bounds_are_invalid() {
    let folder = tempfile::tempdir().unwrap();
    let issuer = SetupCodeIssuer::open_or_create(&folder.path().join("key")).unwrap();
    let minute = Duration::from_secs(60);
    for (url, profile, ttl) in
        [(" ", "p", minute), ("wss://h", "No Profile", minute), ("wss://h", "p", Duration::MAX)]
    {
        let error = issuer.issue(url, profile, ttl, None).unwrap_err();
        assert!(matches!(error, PairingError::Invalid(_)), "{error}");
    }
    std::fs::write(folder.path().join("short"), "short").unwrap();
    assert!(SetupCodeIssuer::open_or_create(&folder.path().join("short")).is_err());
}

#[test]
fn the_first_url_that_is_set_is_resolved() {
    let none = UrlInputs {
        public_url: None,
        tunnel_url: None,
        gateway_remote_url: None,
        lan_url: None,
        ws_cleartext_allow_extra: Vec::new(),
    };
    assert!(matches!(resolve(&none), Err(ResolveError::LoopbackOnly)));
    let mut inputs = none.clone();
    let url = |url: &str| Some(url.to_owned());
    let mut set = |change: fn(&mut UrlInputs, Option<String>), text| {
        change(&mut inputs, url(text));
        let resolved = resolve(&inputs).unwrap();
        (resolved.source, resolved.url)
    };
    let lan = set(|inputs, url| inputs.lan_url = url, "ws://192.168.1.10:9090");
    assert_eq!(lan, ("gateway.bind=lan", "ws://192.168.1.10:9090".to_owned()));
    let remote = set(|inputs, url| inputs.gateway_remote_url = url, "wss://legacy");
    assert_eq!(remote, ("gateway.remote.url", "wss://legacy".to_owned()));
    let tunnel = set(|inputs, url| inputs.tunnel_url = url, "wss://abc.ngrok.app/pair");
    assert_eq!(tunnel, ("tunnel.url", "wss://abc.ngrok.app/pair".to_owned()));
    let public = set(|inputs, url| inputs.public_url = url, " wss://op.example.com ");
    assert_eq!(public, ("pairing.public_url", "wss://op.example.com".to_owned()));
    let empty = set(|inputs, url| inputs.public_url = url, " ");
    assert_eq!(empty.0, "tunnel.url");
}

#[test]
fn cleartext_is_for_private_hosts() {
    let resolved = |url: &str, extra: &[&str]| {
        resolve(&UrlInputs {
            public_url: Some(url.to_owned()),
            tunnel_url: None,
            gateway_remote_url: None,
            lan_url: None,
            ws_cleartext_allow_extra: extra.iter().map(|&host| host.to_owned()).collect(),
        })
    };
    for private in ["localhost:9090", "kitchen-pi.local:9090", "10.0.2.2:9090", "169.254.1.5:9090"]
    {
        assert!(resolved(&format!("ws://{private}"), &[]).is_ok(), "{private}");
    }
    assert!(resolved("ws://my.cool.host:9090", &["my.cool.host"]).is_ok());
    for public in ["ws://api.example.com", "ws://[::ffff:8.8.8.8]", "ws://134744072"] {
        let refused = resolved(public, &[]);
        assert!(matches!(refused, Err(ResolveError::InsecureCleartext { .. })), "{public}");
    }
    for invalid in ["ftp://h", "ws://localhost@api.example.com", "ws://api.example.com\\.local"] {
        assert!(matches!(resolved(invalid, &[]), Err(ResolveError::Invalid(_))), "{invalid}");
    }
}

#[test]
fn qr_codes_are_blocks_or_png() {
    let blocks = qr::render_ansi("hello").unwrap();
    assert!(blocks.contains(['█', '▀', '▄']) && !blocks.contains('\u{1b}'), "{blocks}");
    let png = qr::render_png("hello").ok();
    let is_png = png.is_some_and(|png| png.starts_with(b"\x89PNG\r\n\x1a\n"));
    assert_eq!(is_png, cfg!(feature = "qr-png"));
}

#[test]
fn codes_are_of_the_alphabet_and_unique() {
    assert!(!code::ALPHABET.iter().any(|byte| b"01IO".contains(byte)));
    let mut codes = HashSet::new();
    for _ in 0..200 {
        let code = code::generate_unique(&codes).unwrap();
        assert_eq!(code.len(), code::LENGTH);
        assert!(code.bytes().all(|byte| code::ALPHABET.contains(&byte)), "{code}");
        assert!(codes.insert(code));
    }
}
