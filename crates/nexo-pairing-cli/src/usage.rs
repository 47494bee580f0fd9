//! Parses the arguments, and reports errors without repeating a code.

use std::ffi::OsString;
use std::io::Write;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use nexo_pairing::PairingCode;
use nexo_pairing::setup_code::{UnverifiedToken, decode_setup_code};

use crate::Result;
use crate::cli::Cli;
use crate::exit::Exit;
use crate::io::Io;
use crate::output::as_json;
use crate::text::escape;

/// The number of words in which a code is recognised.
const MAX_WORDS: usize = 8;

/// Parses the arguments; `--help`, `--version` and errors have been printed when it fails.
pub(crate) fn parse(args: impl Iterator<Item = OsString>, io: &mut Io) -> Result<Cli, Exit> {
    let args: Vec<OsString> = args.collect();
    Cli::try_parse_from(&args).map_err(|error| {
        let text = without_codes(&error.to_string(), &args);
        // When printing fails, there is nobody left to report to.
        if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
            let _ = io.stdout.write_all(text.as_bytes()).and_then(|()| io.stdout.flush());
            return Exit::Done;
        }
        let wants_json = args.iter().take_while(|arg| *arg != "--").any(|arg| arg == "--json");
        let text = if wants_json { for_programs(&text) } else { text };
        let _ = io.stderr.write_all(text.as_bytes()).and_then(|()| io.stderr.flush());
        Exit::Usage
    })
}

/// The error as JSON; the first paragraph of clap's text is the message.
fn for_programs(text: &str) -> String {
    let text = text.strip_prefix("error: ").unwrap_or(text);
    let paragraph = text.lines().take_while(|line| !line.trim().is_empty());
    let message = paragraph.map(str::trim).collect::<Vec<_>>().join(" ");
    as_json("usage", &escape(&message), Some("see --help"))
}

/// A code in the wrong place is still a secret, in one word or several.
fn without_codes(text: &str, args: &[OsString]) -> String {
    let args: Vec<&str> = args.iter().skip(1).map(|arg| arg.to_str().unwrap_or_default()).collect();
    let cli = Cli::command();
    let is_command = |word: &str| cli.get_subcommands().any(|command| command.get_name() == word);
    let mut text = text.to_owned();
    for count in 1..=MAX_WORDS.min(args.len()) {
        for words in args.windows(count).filter(|words| is_code(&words.concat())) {
            for word in words.iter().filter(|word| !is_command(word)) {
                text = match word.chars().count() {
                    0 => text,
                    // A single letter is blanked only where it is quoted: it occurs everywhere.
                    1 => text.replace(&format!("'{word}'"), "'…'"),
                    _ => text.replace(word, "…"),
                };
            }
        }
    }
    text
}

/// Whether a text is a code, a setup code or the token of one. A word of eight letters does not count as
/// a code of 0.1.8, which has no check character.
fn is_code(text: &str) -> bool {
    if decode_setup_code(text).is_ok() || UnverifiedToken::parse(text).is_ok() {
        return true;
    }
    PairingCode::parse(text).is_ok_and(|code| {
        code.is_consistent() || code.as_str().contains(|c: char| c.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// The exit, standard output and standard error.
    fn parsed(args: &[&str]) -> (Option<Exit>, String, String) {
        let (stdout, stderr) = (Written::default(), Written::default());
        let mut io = Io::new(std::io::empty(), stdout.clone(), stderr.clone());
        let args = std::iter::once(&"nexo-pair").chain(args).map(OsString::from);
        let exit = parse(args, &mut io).err();
        let text = |written: Written| String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        (exit, text(stdout), text(stderr))
    }

    #[test]
    fn help_is_a_result_and_a_wrong_argument_is_an_error() {
        let (exit, stdout, stderr) = parsed(&["--help"]);
        assert_eq!((exit, stderr.as_str()), (Some(Exit::Done), ""));
        assert!(stdout.contains("nexo-pair approve K7M9-PQ2X"), "{stdout}");
        let (exit, stdout, stderr) = parsed(&["list", "--colour"]);
        assert_eq!((exit, stdout.as_str()), (Some(Exit::Usage), ""));
        assert!(stderr.starts_with("error: unexpected argument '--colour'"), "{stderr}");
        assert_eq!(parsed(&[]).0, Some(Exit::Usage));
        assert_eq!(parsed(&["list", "--json"]).0, None);
    }

    #[test]
    fn errors_are_json_for_programs() {
        let (exit, _, stderr) = parsed(&["--json", "approve"]);
        assert_eq!(exit, Some(Exit::Usage));
        let error: serde_json::Value = serde_json::from_str(&stderr).unwrap();
        assert_eq!(error["error"]["kind"], "usage");
        assert!(error["error"]["message"].as_str().unwrap().contains("<CODE>"), "{error}");
    }

    #[test]
    fn a_code_is_not_repeated() {
        for args in [
            &["k7m9-pq2x"][..],
            &["approv", "K7M9PQ2X"],
            &["unlock", "cli", "K7M9PQ2X"],
            &["K7M9", "PQ2X"],
            &["k7m9", "-", "pq2x"],
            &["--json", "K7M9", "PQ2X"],
            &["unlock", "K7M9", "PQ2X"],
        ] {
            let (exit, _, stderr) = parsed(args);
            assert_eq!(exit, Some(Exit::Usage));
            let shown = stderr.to_lowercase();
            assert!(!shown.contains("k7m9") && !shown.contains("pq2x"), "{stderr}");
        }
    }

    #[test]
    fn a_setup_code_is_not_repeated() {
        // The sample of `docs/protocol.md`, and a token of version 1.
        for code in [
            "AICGWSOSHRNFUWS2LJNFUWS2LJNFUAAMIFXGCJ3TEBUVA2DPNZSQAEDOMV4G6LTFPBQW24DMMUXGG33NUWS2LJNFUWS2LJNFUWS2LJNFUU",
            "e30.paWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaU",
        ] {
            for args in
                [&[code][..], &["decode", code], &["decode", "--file", "x", "--code", "y", code]]
            {
                let (exit, _, stderr) = parsed(args);
                assert_eq!(exit, Some(Exit::Usage));
                assert!(!stderr.contains(code), "{stderr}");
            }
        }
    }
}
