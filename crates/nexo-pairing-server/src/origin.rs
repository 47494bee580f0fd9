//! Which web pages may claim: only the server's own.

use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderValue, header};

/// Whether the `Origin` of a request may claim.
///
/// A browser lets any page open a WebSocket to anywhere, also into the user's own network, and names the
/// page in `Origin`. So a page must be one of `allowed`, or one of this very server. The latter is
/// recognized by an IP address or `localhost`: any other name could have been made to point here by the
/// owner of the page. An app sends no origin, or one with a scheme of its own, which a page cannot have.
pub(crate) fn may_claim(headers: &HeaderMap, allowed: &[String]) -> bool {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let Some(origin) = origins.next() else { return true };
    let Ok(origin) = origin.to_str() else { return false };
    if origins.next().is_some() || origin == "null" {
        return false;
    }
    if allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin)) {
        return true;
    }
    let Some((scheme, authority)) = origin.split_once("://") else { return false };
    if !["http", "https"].iter().any(|web| scheme.eq_ignore_ascii_case(web)) {
        return true;
    }
    let host = headers.get(header::HOST).map(HeaderValue::as_bytes);
    is_fixed(authority) && host.is_some_and(|host| host.eq_ignore_ascii_case(authority.as_bytes()))
}

/// Whether a host is one that the owner of a web page cannot make point here.
fn is_fixed(authority: &str) -> bool {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    bare.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn may(origin: Option<&str>, host: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().unwrap());
        }
        may_claim(&headers, &["https://nexo.example.com".to_owned()])
    }

    #[test]
    fn an_app_may_claim_and_a_web_page_may_not() {
        for app in [None, Some("capacitor://localhost"), Some("tauri://localhost"), Some("app://x")]
        {
            assert!(may(app, "127.0.0.1:7780"), "{app:?}");
        }
        for page in
            ["https://evil.example", "http://127.0.0.1:8080", "null", "", "evil", "https://"]
        {
            assert!(!may(Some(page), "127.0.0.1:7780"), "{page}");
        }
    }

    #[test]
    fn the_page_of_the_public_url_may_and_so_may_our_own_address() {
        assert!(may(Some("https://nexo.example.com"), "10.0.0.5:7780"));
        assert!(!may(Some("https://nexo.example.com.evil.example"), "10.0.0.5:7780"));
        assert!(!may(Some("http://nexo.example.com"), "10.0.0.5:7780"));
        assert!(may(Some("http://192.168.1.4:7780"), "192.168.1.4:7780"));
        assert!(may(Some("http://[::1]:7780"), "[::1]:7780"));
        assert!(may(Some("http://localhost:7780"), "localhost:7780"));
    }

    #[test]
    fn a_page_whose_name_points_here_may_not() {
        assert!(!may(Some("http://evil.example:7780"), "evil.example:7780"));
        assert!(!may(Some("http://127.0.0.1.evil.example"), "127.0.0.1.evil.example"));
    }

    #[test]
    fn two_origins_are_rejected() {
        let mut headers = HeaderMap::new();
        headers.append(header::ORIGIN, "app://a".parse().unwrap());
        headers.append(header::ORIGIN, "app://b".parse().unwrap());
        assert!(!may_claim(&headers, &[]));
    }
}
