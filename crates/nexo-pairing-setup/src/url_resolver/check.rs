//! Parses a URL, more strictly than browsers do.

use nexo_pairing_core::limits::{MAX_URL_BYTES, PUBLIC_URL_BYTES};
use url::{ParseError, Url};

use super::error::UrlProblem;
use super::host::{Host, normalize};

/// The path of the gateway's endpoint for companions.
const DEFAULT_PATH: &str = "/pair";

/// Parses a URL and completes its path.
pub(super) fn parse(text: &str) -> Result<(Url, Host), UrlProblem> {
    check_length(text, *PUBLIC_URL_BYTES.end())?;
    let text = text.trim();
    check_form(text)?;
    let mut url = Url::parse(text).map_err(|error| match error {
        ParseError::EmptyHost => UrlProblem::NoHost,
        ParseError::InvalidPort => UrlProblem::Port,
        _ => UrlProblem::Host,
    })?;
    if url.fragment().is_some() {
        return Err(UrlProblem::Fragment);
    }
    if url.port() == Some(0) {
        return Err(UrlProblem::Port);
    }
    let host = url.host().ok_or(UrlProblem::NoHost)?;
    let host = normalize(host.to_owned()).ok_or(UrlProblem::Host)?;
    // The parser gives a URL without a path the path `/`.
    if url.path() == "/" {
        url.set_path(DEFAULT_PATH);
    }
    check_length(url.as_str(), MAX_URL_BYTES)?;
    Ok((url, host))
}

/// Refuses what the parser, like a browser, would silently correct: it drops tabs and line feeds,
/// turns backslashes into slashes, and takes the first part of the path for a missing host.
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
    // Also an empty user, which the parser drops.
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
