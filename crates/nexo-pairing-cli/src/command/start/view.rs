//! The text of a setup code: printed once, or fitted to a terminal.

use std::fmt::Write;

use nexo_pairing::SetupCode;
use nexo_pairing::qr::{self, TextSize};
use time::{Duration, OffsetDateTime};

use crate::Result;
use crate::io::Size;
use crate::text::{format_duration, format_time};

/// A setup code to be shown.
pub(super) struct CodeView {
    qr: String,
    size: TextSize,
    payload: String,
    /// The URL and its source.
    url: String,
    expires_at: OffsetDateTime,
}

impl CodeView {
    pub(super) fn new(code: &SetupCode, payload: &str, source: &str, colour: bool) -> Result<Self> {
        let draw = if colour { qr::render_ansi } else { qr::render_plain };
        Ok(Self {
            qr: draw(payload)?,
            size: qr::size(payload)?,
            payload: payload.to_owned(),
            url: format!("{} (from {source})", code.url),
            expires_at: code.expires_at,
        })
    }

    /// The whole text, to be printed once. Without a terminal, the code is assumed to fit.
    pub(super) fn once(&self, screen: Option<Size>) -> String {
        let qr = match screen {
            Some(screen) if !self.fits(screen, 0) => self.too_large(screen),
            _ => self.qr.clone(),
        };
        let Self { payload, url, .. } = self;
        format!("{qr}\n\n{payload}\n\nurl:     {url}\nexpires: {}\n", format_time(self.expires_at))
    }

    /// The text for a screen, and the line (from 1) of the [`status`](Self::status). The QR code is
    /// complete or absent; text for which there is no room below it is left out.
    pub(super) fn screen(&self, screen: Size) -> (String, u16) {
        let payload = screen.lines_of(&self.payload);
        let url = screen.lines_of(&self.url);
        // Below the code: a blank line, the payload, a blank line, the URL, the status.
        let all = payload.saturating_add(url).saturating_add(3);
        let (mut text, mut lines) = match self.fits(screen, all) || self.fits(screen, 1) {
            true => (self.qr.clone(), self.size.lines),
            false => {
                let text = self.too_large(screen);
                let lines = text.lines().map(|line| screen.lines_of(line)).sum();
                (text, lines)
            }
        };
        if lines.saturating_add(all) <= screen.lines {
            // Writing to a string cannot fail.
            let _ = write!(text, "\n\n{}\n\n{}", self.payload, self.url);
            lines += all - 1;
        }
        (text, lines.saturating_add(1).min(screen.lines))
    }

    /// The status line while the code is shown; `None` once it has expired.
    pub(super) fn status(&self, now: OffsetDateTime) -> Option<String> {
        let left = self.left(now);
        (left > Duration::ZERO).then(|| {
            // Never "0 s": the code is still valid.
            format!("valid for {}; Ctrl-C hides it", format_duration(left.max(Duration::SECOND)))
        })
    }

    /// How long the code is still valid.
    pub(super) fn left(&self, now: OffsetDateTime) -> Duration {
        self.expires_at - now
    }

    /// Whether the QR code and this many lines below it fit.
    fn fits(&self, screen: Size, below: u16) -> bool {
        let TextSize { columns, lines, .. } = self.size;
        columns <= screen.columns && lines.saturating_add(below) <= screen.lines
    }

    fn too_large(&self, screen: Size) -> String {
        let TextSize { columns, lines, .. } = self.size;
        format!(
            "The QR code does not fit: it has {columns} columns and {lines} lines, this terminal has \
             {} and {}.\nMake the terminal larger, or try --compact, or write the code to a file: \
             --qr-png FILE.",
            screen.columns, screen.lines
        )
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration as StdDuration;

    use nexo_pairing::setup_code::{SetupCodeFormat, TokenClaims, UnsignedSetupCode};

    use super::*;

    const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

    /// A code of version 2 with 41 columns and 21 lines, valid for a minute.
    fn view() -> CodeView {
        let claims = TokenClaims::new(
            "companion-v1".into(),
            NOW + StdDuration::from_secs(60),
            "5a".repeat(12),
            Some("Ana's iPhone".into()),
        );
        let url = "wss://nexo.example.com/pair";
        let unsigned = UnsignedSetupCode::new(SetupCodeFormat::V2, url, &claims).unwrap();
        let code = unsigned.sign_with(&[7; 32]);
        CodeView::new(&code, &code.payload().unwrap(), "--public-url", false).unwrap()
    }

    fn is_drawn(text: &str) -> bool {
        text.contains('█')
    }

    #[test]
    fn a_screen_shows_everything_where_there_is_room() {
        let view = view();
        let (text, status) = view.screen(Size { columns: 80, lines: 40 });
        assert!(is_drawn(&text) && text.contains(&view.payload), "{text}");
        assert!(text.ends_with("wss://nexo.example.com/pair (from --public-url)"), "{text}");
        // The code, a blank line, two of the payload, a blank one, the URL.
        assert_eq!(status, 21 + 1 + 2 + 1 + 1 + 1);
    }

    #[test]
    fn text_without_room_below_the_code_is_left_out() {
        let view = view();
        let (text, status) = view.screen(Size { columns: 80, lines: 26 });
        assert!(is_drawn(&text) && !text.contains(&view.payload), "{text}");
        assert_eq!(status, 22);
        assert_eq!(view.screen(Size { columns: 80, lines: 27 }).1, 27, "all of it fits");
    }

    #[test]
    fn a_code_is_never_drawn_broken() {
        let view = view();
        for (columns, lines) in [(40, 100), (100, 21), (1, 1), (0, 0)] {
            let (text, status) = view.screen(Size { columns, lines });
            assert!(!is_drawn(&text), "{columns} × {lines}");
            assert!(text.contains("41 columns and 21 lines"), "{text}");
            assert!(text.contains("--compact") && text.contains("--qr-png"), "{text}");
            assert!(status <= lines);
        }
        assert!(is_drawn(&view.screen(Size { columns: 41, lines: 22 }).0));
        assert!(!is_drawn(&view.once(Some(Size { columns: 80, lines: 20 }))));
        assert!(is_drawn(&view.once(Some(Size { columns: 41, lines: 21 }))));
        assert!(is_drawn(&view.once(None)));
    }

    #[test]
    fn the_time_left_ends_with_the_last_second() {
        let view = view();
        let status = |now| view.status(now);
        assert_eq!(status(NOW).as_deref(), Some("valid for 60 s; Ctrl-C hides it"));
        let almost = NOW + StdDuration::from_millis(59_999);
        assert_eq!(status(almost).as_deref(), Some("valid for 1 s; Ctrl-C hides it"));
        assert_eq!(status(NOW + StdDuration::from_secs(60)), None);
    }
}
