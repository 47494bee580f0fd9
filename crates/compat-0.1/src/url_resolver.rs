//! Resolves the URL at which a companion presents its token.
//!
//! The first source that is set wins; an empty one counts as not set. `ws` and `http` are accepted for
//! hosts in a private network and for those in [`UrlInputs::ws_cleartext_allow_extra`].

use nexo_pairing_core::SystemClock;
use nexo_pairing_setup::url_resolver as inner;

use crate::convert::with_causes;

/// The sources of the URL, and the hosts that need no encryption.
#[derive(Debug, Clone)]
pub struct UrlInputs {
    /// `pairing.public_url`.
    pub public_url: Option<String>,
    /// The URL of a tunnel.
    pub tunnel_url: Option<String>,
    /// `gateway.remote.url`.
    pub gateway_remote_url: Option<String>,
    /// The address in the local network.
    pub lan_url: Option<String>,
    /// Further hosts for which `ws` and `http` are accepted.
    pub ws_cleartext_allow_extra: Vec<String>,
}

/// The URL of a setup code.
#[derive(Debug, Clone)]
pub struct ResolvedUrl {
    /// The URL, as a browser normalizes it. No path is added.
    pub url: String,
    /// Its source, such as `pairing.public_url`.
    pub source: &'static str,
}

/// Why no URL was resolved.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ResolveError {
    /// No source is set.
    #[error(
        "gateway only bound to loopback; set pairing.public_url, enable tunnel, or use gateway.bind=lan"
    )]
    LoopbackOnly,
    /// The URL is not encrypted, and its host is not in a private network.
    #[error(
        "resolved url '{url}' uses ws:// but host is not in the cleartext-allow list (loopback / RFC1918 / \
         link-local / .local / 10.0.2.2 / extras)"
    )]
    InsecureCleartext {
        /// The URL.
        url: String,
    },
    /// The URL, or a host in the list, cannot be used.
    #[error("invalid url: {0}")]
    Invalid(String),
}

/// The path that 0.2 adds to a URL without one.
const PATH: &str = "/pair";

/// The URL for a setup code, from the first source that is set.
///
/// # Errors
///
/// [`ResolveError`]; no token may be issued then.
pub fn resolve(inputs: &UrlInputs) -> Result<ResolvedUrl, ResolveError> {
    let sources = [
        (&inputs.public_url, "pairing.public_url"),
        (&inputs.tunnel_url, "tunnel.url"),
        (&inputs.gateway_remote_url, "gateway.remote.url"),
        (&inputs.lan_url, "gateway.bind=lan"),
    ];
    let set = sources.into_iter().find_map(|(url, source)| {
        let url = url.as_deref().map(str::trim).filter(|url| !url.is_empty())?;
        Some((url, source))
    });
    let (text, source) = set.ok_or(ResolveError::LoopbackOnly)?;
    let resolved = inner::resolve(
        &inner::UrlInputs::new(SystemClock::shared())
            .with_public_url(Some(text.to_owned()))
            .with_ws_cleartext_allow(inputs.ws_cleartext_allow_extra.clone()),
    );
    match resolved {
        Ok(inner::ResolvedUrl { url, .. }) if !text.contains(PATH) => {
            Ok(ResolvedUrl { url: url.replacen(PATH, "", 1), source })
        }
        Ok(inner::ResolvedUrl { url, .. }) => Ok(ResolvedUrl { url, source }),
        Err(inner::ResolveError::InsecureCleartext { url, .. }) => {
            Err(ResolveError::InsecureCleartext { url })
        }
        Err(error) => Err(ResolveError::Invalid(with_causes(&error))),
    }
}
