//! Judges one URL.

use nexo_pairing_core::limits::{MAX_URL_BYTES, PUBLIC_URL_BYTES};
use url::{ParseError, Url};

use super::error::UrlProblem;
use super::host::Host;
use super::resolved::UrlWarning;

/// The path of the gateway's endpoint for companions.
const DEFAULT_PATH: &str = "/pair";

/// Why a URL is refused.
#[derive(Debug)]
pub(super) enum Refusal {
    Problem(UrlProblem),
    /// It is a good one, but not encrypted, and its host is not in a private network.
    Cleartext {
        url: String,
        host: String,
    },
}

impl From<UrlProblem> for Refusal {
    fn from(problem: UrlProblem) -> Self {
        Self::Problem(problem)
    }
}

/// The URL as it goes into a setup code, and what is to be said of it.
pub(super) fn check(text: &str, allowed: &[Host]) -> Result<(String, Vec<UrlWarning>), Refusal> {
    check_length(text, *PUBLIC_URL_BYTES.end())?;
    let text = text.trim();
    check_form(text)?;
    let mut url = Url::parse(text).map_err(problem)?;
    if url.fragment().is_some() {
        return Err(UrlProblem::Fragment.into());
    }
    if url.port() == Some(0) {
        return Err(UrlProblem::Port.into());
    }
    let host = url.host().ok_or(UrlProblem::NoHost)?;
    let host = Host::of_url(host).ok_or(UrlProblem::Host)?;
    // The parser gives a URL without a path the path `/`.
    if url.path() == "/" {
        url.set_path(DEFAULT_PATH);
    }
    check_length(url.as_str(), MAX_URL_BYTES)?;
    let is_cleartext = matches!(url.scheme(), "ws" | "http");
    if is_cleartext && !host.is_private() && !allowed.contains(&host) {
        return Err(Refusal::Cleartext { url: url.into(), host: host.to_string() });
    }
    let mut warnings = Vec::new();
    if is_cleartext {
        warnings.push(UrlWarning::Cleartext { host: host.to_string() });
    }
    if host.is_this_machine() {
        warnings.push(UrlWarning::ThisMachine { host: host.to_string() });
    }
    Ok((url.into(), warnings))
}

/// Refuses what the parser would mend in silence, as browsers do: it drops tabs and line feeds,
/// turns backslashes into slashes, and takes the first part of a path for a host that is left out.
fn check_form(text: &str) -> Result<(), UrlProblem> {
    if text.is_empty() {
        return Err(UrlProblem::Empty);
    }
    let is_stray = |c: &char| c.is_control() || c.is_whitespace() || *c == '\\';
    if let Some(character) = text.chars().find(is_stray) {
        return Err(UrlProblem::Character { character });
    }
    let (scheme, rest) = text.split_once("://").ok_or(UrlProblem::NoScheme)?;
    if !["wss", "https", "ws", "http"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return Err(UrlProblem::Scheme);
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    // Also an empty user, of which the parser leaves no trace.
    if authority.contains('@') {
        return Err(UrlProblem::UserInfo);
    }
    if authority.is_empty() {
        return Err(UrlProblem::NoHost);
    }
    Ok(())
}

fn check_length(text: &str, max: usize) -> Result<(), UrlProblem> {
    let length = text.len();
    if length > max { Err(UrlProblem::TooLong { length, max }) } else { Ok(()) }
}

fn problem(error: ParseError) -> UrlProblem {
    match error {
        ParseError::EmptyHost => UrlProblem::NoHost,
        ParseError::InvalidPort => UrlProblem::Port,
        _ => UrlProblem::Host,
    }
}
