//! Where a command that is given a setup code reads it: standard input, a file or an argument.

use std::borrow::Cow;
use std::convert::Infallible;
use std::fmt;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Args;
use nexo_pairing::setup_code::MAX_PAYLOAD_BYTES;
use serde::Deserialize;
use serde::de::IgnoredAny;
use zeroize::Zeroizing;

use crate::{CliError, Context, Result};

/// The longest input, in bytes: the output of `start` with the largest QR code.
const MAX_INPUT_BYTES: usize = 64 * 1024;

/// Where the setup code is.
#[derive(Debug, Args)]
pub(crate) struct CodeInput {
    /// Read the setup code from a file [default: standard input, also -].
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// The setup code itself; other users of this machine can see it in the process list.
    #[arg(long, value_name = "PAYLOAD", conflicts_with = "file")]
    code: Option<Payload>,
}

impl CodeInput {
    /// Reads the payload, alone or within the output of `start`. It is not decoded.
    ///
    /// It is read up to the end of its line and no further: the writer of a pipe may run until the code
    /// is used.
    pub(crate) async fn read(self, context: &mut Context) -> Result<Payload> {
        if let Some(code) = self.code {
            return payload_of(&code.0, "--code");
        }
        let is_stdin = self.file.as_deref().is_none_or(|file| file == Path::new("-"));
        if is_stdin && context.io.interactive {
            context.note("paste the setup code and press Enter");
        }
        let (name, bytes) = context.io.read_input(self.file, read_text).await;
        let bytes = bytes.map_err(|source| match source.kind() {
            ErrorKind::IsADirectory => CliError::usage(format!("{name} is a folder, not a file")),
            _ => CliError::io(format!("read {name}"))(source),
        })?;
        let text = std::str::from_utf8(&bytes)
            .map_err(|_| CliError::usage(format!("{name} is not UTF-8 and so not a setup code")))?;
        payload_of(text, &name)
    }
}

/// The text of a QR code. Whoever has it can use it, so `Debug` does not show it, and it is wiped when
/// dropped.
#[derive(Clone)]
pub(crate) struct Payload(Zeroizing<String>);

impl Payload {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Payload {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(Zeroizing::new(text.to_owned())))
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Payload(redacted)")
    }
}

/// Reads until there is a whole setup code, or too much.
fn read_text(mut source: impl Read) -> io::Result<Zeroizing<Vec<u8>>> {
    // It does not grow: moving it would leave a copy behind.
    let mut bytes = Zeroizing::new(vec![0; MAX_INPUT_BYTES + 1]);
    let mut length = 0;
    while length < bytes.len() && !is_complete(&bytes[..length]) {
        match source.read(&mut bytes[length..]) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(length);
    Ok(bytes)
}

/// Whether the bytes hold the whole line of a payload or, if they begin with `{`, an object.
fn is_complete(bytes: &[u8]) -> bool {
    let text = bytes.trim_ascii_start();
    match text.first() {
        Some(b'{') => object_in::<IgnoredAny>(text).is_some(),
        _ => text
            .split_inclusive(|&byte| byte == b'\n')
            .any(|line| line.ends_with(b"\n") && is_candidate(line)),
    }
}

/// Whether a line may be a payload, and not part of a QR code or a remark.
fn is_candidate(line: &[u8]) -> bool {
    let line = line.trim_ascii();
    let is_inner = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    !line.is_empty() && line.iter().all(is_inner)
}

/// The payload in a text that was read from `name`.
fn payload_of(text: &str, name: &str) -> Result<Payload> {
    let wrong = |what: String| Err(CliError::usage(format!("{name} {what}")));
    if text.len() > MAX_INPUT_BYTES {
        return wrong(format!("is longer than {MAX_INPUT_BYTES} bytes and so not a setup code"));
    }
    let text = text.trim();
    let payload = if text.starts_with('{') {
        match object_in::<Started<'_>>(text.as_bytes()) {
            Some(started) => started.payload,
            None => return wrong("is neither a setup code nor a JSON object with one".to_owned()),
        }
    } else {
        let mut lines = text.lines();
        let first = lines.clone().next().unwrap_or_default();
        // If no line is a candidate, decoding the first reports what is wrong with it.
        let line = lines.find(|line| is_candidate(line.as_bytes())).unwrap_or(first);
        Cow::Borrowed(line.trim())
    };
    let payload = Payload(Zeroizing::new(payload.into_owned()));
    match payload.as_str().len() {
        0 => wrong("holds no setup code: it is empty".to_owned()),
        length if length > MAX_PAYLOAD_BYTES => {
            wrong(format!("holds {length} bytes, but a setup code has at most {MAX_PAYLOAD_BYTES}"))
        }
        _ => Ok(payload),
    }
}

/// The part of the output of `start --json` that matters here.
#[derive(Deserialize)]
struct Started<'a> {
    /// Borrowed, so that there is no second copy.
    #[serde(borrow)]
    payload: Cow<'a, str>,
}

/// The JSON value at the beginning of a text, if it is complete and of this type.
fn object_in<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Option<T> {
    serde_json::Deserializer::from_slice(text).into_iter().next()?.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAYLOAD: &str = "AICGWSOSHRNFUWS2LJNFU";

    fn read(text: &str) -> Result<String, String> {
        let payload = payload_of(text, "standard input");
        payload.map(|payload| payload.as_str().to_owned()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_payload_is_a_line_or_a_field() {
        for text in [
            PAYLOAD.to_owned(),
            format!("\n  {PAYLOAD} \r\n"),
            format!("{PAYLOAD}\nclaimed\n"),
            format!("  \n█▀▀ ▄█ \n▄ █\n\n{PAYLOAD}\n\nurl:     ws://127.0.0.1/pair\n"),
            format!(r#"{{"url":"ws://127.0.0.1","payload":"{PAYLOAD}","format":"v2"}}"#),
            format!("{{\n  \"payload\": \"{PAYLOAD}\"\n}}\n{{\"claimed\":true}}"),
        ] {
            assert_eq!(read(&text), Ok(PAYLOAD.to_owned()), "{text}");
        }
    }

    #[test]
    fn a_text_without_a_payload_is_refused_with_the_reason() {
        let long = "A".repeat(MAX_PAYLOAD_BYTES);
        assert_eq!(read(&long).as_ref(), Ok(&long));
        for (text, expected) in [
            ("", "standard input holds no setup code: it is empty"),
            (" \n\t\n", "standard input holds no setup code: it is empty"),
            (r#"{"payload":""}"#, "standard input holds no setup code: it is empty"),
            (
                r#"{"url":"ws://x"}"#,
                "standard input is neither a setup code nor a JSON object with one",
            ),
            (
                r#"{"payload":7}"#,
                "standard input is neither a setup code nor a JSON object with one",
            ),
            ("{", "standard input is neither a setup code nor a JSON object with one"),
            (
                &format!("{long}A"),
                "standard input holds 4097 bytes, but a setup code has at most 4096",
            ),
            (
                &" ".repeat(MAX_INPUT_BYTES + 1),
                "standard input is longer than 65536 bytes and so not a setup code",
            ),
        ] {
            assert_eq!(read(text).unwrap_err(), expected);
        }
    }

    /// Gives each chunk once, and fails when it is read after the last.
    struct Pipe(Vec<&'static [u8]>);

    impl Read for Pipe {
        fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
            let chunk = self.0.pop().ok_or_else(|| io::Error::other("it would wait"))?;
            bytes[..chunk.len()].copy_from_slice(chunk);
            Ok(chunk.len())
        }
    }

    #[test]
    fn a_pipe_that_stays_open_is_not_waited_for() {
        for chunks in [
            &[&b"\nAICG"[..], b"WSOS\n"][..],
            &["█▀▀ ▄█\n\n".as_bytes(), b"AICG", b"\n"],
            &[b"{\"payload\":\n", b"\"AICG\"", b"}"],
            &[b"{\"url\":\"ws://x\"}"],
        ] {
            let whole = chunks.concat();
            let chunks = chunks.iter().rev().copied().collect();
            assert_eq!(*read_text(Pipe(chunks)).unwrap(), whole);
        }
        assert!(read_text(Pipe(vec![b"{\"payload\":"])).is_err());
    }

    #[test]
    fn reading_stops_at_the_maximum_length() {
        assert_eq!(read_text(io::repeat(b'A')).unwrap().len(), MAX_INPUT_BYTES + 1);
        assert_eq!(read_text(io::repeat(b'{')).unwrap().len(), MAX_INPUT_BYTES + 1);
    }

    #[test]
    fn a_payload_is_not_shown() {
        let input = CodeInput { file: None, code: Some(PAYLOAD.parse().unwrap()) };
        assert!(!format!("{input:?}").contains(PAYLOAD));
    }
}
