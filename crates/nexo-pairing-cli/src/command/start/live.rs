//! Shows a setup code until it is used or expires, and hides it then.

use std::io::Write;
use std::time::Duration;

use nexo_pairing::{RedemptionState, Session, TokenClaims};
use time::OffsetDateTime;
use tokio::signal::unix::SignalKind;
use tokio::time::sleep;

use super::view::CodeView;
use crate::device_name;
use crate::io::Io;
use crate::signals::listen;
use crate::text::format_duration;
use crate::{CliError, Context, Result, Store};

/// How often to check whether the code was used.
const POLL: Duration = Duration::from_millis(250);

/// Enters the alternate screen, which leaves nothing behind, not even in the scroll-back; hides the
/// cursor.
const ENTER: &str = "\u{1b}[?1049h\u{1b}[?25l";
const LEAVE: &str = "\u{1b}[?25h\u{1b}[?1049l";
const CLEAR: &str = "\u{1b}[2J\u{1b}[H";

pub(super) async fn show(
    view: CodeView,
    claims: TokenClaims,
    store: Store,
    context: &mut Context,
) -> Result {
    let mut screen = Screen::enter(&mut context.io)?;
    let end = watch(&view, &claims, &store, &mut screen).await;
    drop(screen);
    context.print_text(&end?)
}

/// Shows the code until the end; returns its fate, for people.
async fn watch(
    view: &CodeView,
    claims: &TokenClaims,
    store: &Store,
    screen: &mut Screen<'_>,
) -> Result<String> {
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    let mut hang_up = listen(SignalKind::hangup())?;
    // Unhandled, it would end the process with the code still visible, and leave a core dump.
    let mut quit = listen(SignalKind::quit())?;
    let mut resize = listen(SignalKind::window_change())?;
    loop {
        match store.redemption(&claims.nonce).await? {
            Some(RedemptionState::Claimed(session)) => {
                return Ok(format!("claimed by {}\n", name(&session)));
            }
            Some(RedemptionState::Cancelled) => {
                return Ok("the setup code was cancelled\n".to_owned());
            }
            // The session is gone, so the device is unknown.
            Some(_) => return Ok("the setup code was used\n".to_owned()),
            None => {}
        }
        let now = OffsetDateTime::now_utc();
        let left = view.left(now);
        let Some(status) = view.status(now) else {
            return Ok("the setup code has expired unused\n".to_owned());
        };
        screen.draw(view, &status)?;
        let wait = POLL.min(left.try_into().unwrap_or(POLL));
        tokio::select! {
            () = sleep(wait) => continue,
            _ = resize.recv() => continue,
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = quit.recv() => {}
            _ = hang_up.recv() => {}
        }
        return Ok(format!("the setup code is valid for another {}\n", format_duration(left)));
    }
}

fn name(session: &Session) -> String {
    match device_name::shown(session) {
        Some(name) => format!("{name} (session {})", session.id),
        None => format!("session {}", session.id),
    }
}

/// The terminal while it shows only the code. It is restored on drop.
struct Screen<'a> {
    io: &'a mut Io,
    /// What it shows now, without the status.
    drawn: Option<String>,
}

impl<'a> Screen<'a> {
    fn enter(io: &'a mut Io) -> Result<Self> {
        let mut screen = Self { io, drawn: None };
        screen.write(ENTER)?;
        Ok(screen)
    }

    fn draw(&mut self, view: &CodeView, status: &str) -> Result {
        let Some(size) = self.io.size() else { return Ok(()) };
        let (text, line) = view.screen(size);
        let status = format!("\u{1b}[{line};1H{status}\u{1b}[K");
        if self.drawn.as_ref() == Some(&text) {
            return self.write(&status);
        }
        self.write(&format!("{CLEAR}{text}{status}"))?;
        self.drawn = Some(text);
        Ok(())
    }

    fn write(&mut self, text: &str) -> Result {
        let stdout = &mut self.io.stdout;
        let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
        written.map_err(CliError::io("show the code"))
    }
}

impl Drop for Screen<'_> {
    fn drop(&mut self) {
        // If the terminal is gone, there is nothing to restore.
        let _ = self.write(LEAVE);
    }
}
