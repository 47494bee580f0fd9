//! Resolves the URL at which a companion presents its token, and refuses one that would expose the
//! token.
//!
//! The first source that is set wins: the flag `--public-url`, `public_url` of the configuration, the
//! variable `NEXO_TUNNEL_URL`, the file `$NEXO_HOME/state/tunnel.url`. A source that is set but invalid
//! is an error that names it, never a reason to try the next.
//!
//! * `wss` and `https` are accepted. `ws` and `http` are accepted, with a warning, for hosts in a
//!   private network: loopback, `localhost` and names below it, RFC 1918, link-local and unique
//!   local addresses, names below `.local`, and the hosts in
//!   [`ws_cleartext_allow`](UrlInputs::ws_cleartext_allow).
//! * The host is the one that a browser would connect to: `ws://2130706433/` is `127.0.0.1`,
//!   `[::ffff:8.8.8.8]` is `8.8.8.8`, and the result has that form.
//! * User information, fragments, other schemes, a missing or invalid host, port 0, and control
//!   characters, white space and backslashes inside are refused.
//! * A URL without a path gets `/pair`. Any other path and the query stay as they are.
//!
//! ```
//! use nexo_pairing_core::SystemClock;
//! use nexo_pairing_setup::url_resolver::{UrlInputs, resolve};
//!
//! let inputs = UrlInputs::new(SystemClock::shared());
//! let resolved = resolve(&inputs.with_flag(Some("wss://nexo.example.com".to_owned())))?;
//! assert_eq!(resolved.url, "wss://nexo.example.com/pair");
//! assert_eq!(resolved.source.as_str(), "--public-url");
//! # Ok::<(), nexo_pairing_setup::url_resolver::ResolveError>(())
//! ```

mod check;
mod error;
mod host;
mod resolved;
mod tunnel;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use derive_setters::Setters;
use nexo_pairing_core::Clock;

use error::redacted;
pub use error::{ResolveError, TunnelFileProblem, UrlProblem};
use host::{is_private, is_this_machine};
pub use resolved::{ResolvedUrl, UrlSource, UrlWarning};

/// The sources of the URL, and the hosts that need no encryption.
///
/// White space around each value is ignored. `Debug` omits user information.
#[derive(Clone, Setters)]
#[non_exhaustive]
#[setters(prefix = "with_")]
pub struct UrlInputs {
    /// The flag `--public-url`. An empty one is refused.
    pub flag: Option<String>,
    /// `public_url` of the configuration. An empty one is refused.
    pub public_url: Option<String>,
    /// The variable `NEXO_TUNNEL_URL`. An empty one counts as not set.
    pub tunnel_url: Option<String>,
    /// The file to which a tunnel writes its URL, `$NEXO_HOME/state/tunnel.url`: one line, at most
    /// 4 KiB. It must be our own file, not a symbolic link, and writable by no other user. A missing
    /// or empty one counts as not set.
    pub tunnel_file: Option<PathBuf>,
    /// Hosts, as names or addresses, for which `ws` and `http` are accepted on any network.
    pub ws_cleartext_allow: Vec<String>,
    /// The clock for the age of the tunnel's file.
    #[setters(skip)]
    pub clock: Arc<dyn Clock>,
}

impl UrlInputs {
    /// No source is set.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            flag: None,
            public_url: None,
            tunnel_url: None,
            tunnel_file: None,
            ws_cleartext_allow: Vec::new(),
            clock,
        }
    }
}

impl fmt::Debug for UrlInputs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let redacted = |url: &Option<String>| url.as_deref().map(redacted);
        f.debug_struct("UrlInputs")
            .field("flag", &redacted(&self.flag))
            .field("public_url", &redacted(&self.public_url))
            .field("tunnel_url", &redacted(&self.tunnel_url))
            .field("tunnel_file", &self.tunnel_file)
            .field("ws_cleartext_allow", &self.ws_cleartext_allow)
            .finish_non_exhaustive()
    }
}

/// The URL for a setup code: from the first source that is set, checked and completed.
///
/// # Errors
///
/// [`ResolveError::LoopbackOnly`] if no source is set; otherwise what is wrong with the first one, or
/// with a host in [`ws_cleartext_allow`](UrlInputs::ws_cleartext_allow). No token may be issued then.
pub fn resolve(inputs: &UrlInputs) -> Result<ResolvedUrl, ResolveError> {
    let allowed = inputs.ws_cleartext_allow.iter().map(|entry| {
        host::parse(entry).ok_or_else(|| ResolveError::CleartextHost { entry: redacted(entry) })
    });
    let allowed = allowed.collect::<Result<Vec<_>, _>>()?;
    let (text, source) = first_source(inputs)?;
    let (url, host) = match check::parse(&text) {
        Ok(parsed) => parsed,
        Err(problem) => {
            let value = redacted(&text);
            return Err(ResolveError::Invalid { origin: source, value, problem });
        }
    };
    let is_cleartext = matches!(url.scheme(), "ws" | "http");
    let (url, name) = (String::from(url), host.to_string());
    if is_cleartext && !is_private(&host) && !allowed.contains(&host) {
        return Err(ResolveError::InsecureCleartext { origin: source, url, host: name });
    }
    let mut warnings = Vec::new();
    if is_cleartext {
        warnings.push(UrlWarning::Cleartext { host: name.clone() });
    }
    if is_this_machine(&host) {
        warnings.push(UrlWarning::ThisMachine { host: name });
    }
    Ok(ResolvedUrl { url, source, warnings })
}

fn first_source(inputs: &UrlInputs) -> Result<(String, UrlSource), ResolveError> {
    // What an operator typed is set even if it is empty. An empty variable is not.
    let variable = inputs.tunnel_url.as_ref().filter(|url| !url.trim().is_empty());
    let texts = [
        (inputs.flag.as_ref(), UrlSource::Flag),
        (inputs.public_url.as_ref(), UrlSource::Config),
        (variable, UrlSource::Environment),
    ];
    let mut texts = texts.into_iter();
    if let Some(found) = texts.find_map(|(text, source)| Some((text?.clone(), source))) {
        return Ok(found);
    }
    let path = inputs.tunnel_file.clone().ok_or(ResolveError::LoopbackOnly)?;
    match tunnel::read(&path, inputs.clock.now()) {
        Ok(Some((text, age))) => Ok((text, UrlSource::TunnelFile { path, age })),
        Ok(None) => Err(ResolveError::LoopbackOnly),
        Err(problem) => Err(ResolveError::TunnelFile { path, problem }),
    }
}
