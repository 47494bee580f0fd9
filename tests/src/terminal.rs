//! A program on a terminal: what a person sees there, and what their phone reads from it.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::num::NonZero;
use std::os::fd::OwnedFd;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use vt100::{Color, Parser};

use crate::home::exit_code;
use crate::wait_for;

/// A program on a terminal of its own. It is killed on drop.
pub struct Terminal {
    controller: OwnedFd,
    child: Child,
    seen: Arc<Mutex<Parser>>,
    reader: Option<JoinHandle<()>>,
}

impl Terminal {
    /// Starts a program on a terminal of this size.
    #[must_use]
    pub fn start(mut command: Command, columns: u16, lines: u16) -> Self {
        let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&controller).and_then(|()| unlockpt(&controller)).expect("a terminal of ours");
        let name = ptsname(&controller, Vec::new()).expect("the terminal has a name");
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let terminal = rustix::fs::open(&*name, flags, Mode::empty()).expect("the terminal opens");
        resize(&controller, columns, lines);
        let stream = || terminal.try_clone().expect("another descriptor");
        command.env("TERM", "xterm-256color").stdin(stream()).stdout(stream()).stderr(stream());
        let child = command.spawn().expect("the program starts");
        // The reader sees the end once the other side is closed everywhere.
        drop(command);
        drop(terminal);
        let seen = Arc::new(Mutex::new(Parser::new(cells(lines), cells(columns), 1000)));
        let screen = Arc::clone(&seen);
        let mut output = File::from(controller.try_clone().expect("another descriptor"));
        let reader = thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut bytes) {
                lock(&screen).process(&bytes[..count]);
            }
        });
        Self { controller, child, seen, reader: Some(reader) }
    }

    /// The text on the screen.
    #[must_use]
    pub fn text(&self) -> String {
        lock(&self.seen).screen().contents()
    }

    /// Waits until a text is on the screen and returns all of it.
    #[expect(clippy::must_use_candidate, reason = "that it was seen is enough for many a test")]
    pub fn wait_for_text(&self, text: &str) -> String {
        wait_for(text, || Some(self.text()).filter(|seen| seen.contains(text)))
    }

    /// The QR codes that a phone reads from the screen, with the default colours of a dark theme.
    #[must_use]
    pub fn scan(&self) -> Vec<String> {
        let seen = lock(&self.seen);
        let (lines, columns) = seen.screen().size();
        let (width, height) = (usize::from(columns.get()), 2 * usize::from(lines.get()));
        let is_light = |x: usize, y: usize| {
            let (line, column) = (y / 2, x);
            let position = (u16::try_from(line).ok(), u16::try_from(column).ok());
            let (Some(line), Some(column)) = position else { return false };
            seen.screen().cell(line, column).is_some_and(|cell| {
                let is_ink = matches!((cell.contents(), y % 2), ("█", _) | ("▀", 0) | ("▄", 1));
                if is_ink { light(cell.fgcolor(), true) } else { light(cell.bgcolor(), false) }
            })
        };
        scan(width, height, is_light)
    }

    /// Resizes the terminal and notifies the program, as a terminal emulator would.
    pub fn resize(&self, columns: u16, lines: u16) {
        lock(&self.seen).screen_mut().set_size(cells(lines), cells(columns));
        resize(&self.controller, columns, lines);
        // The terminal controls no session, so the kernel does not send the signal by itself.
        self.signal(Signal::WINCH);
    }

    /// Sends the program a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it takes signals");
    }

    /// Waits for the end of the program and returns its exit status and the screen.
    #[must_use]
    pub fn end(mut self) -> (i32, String) {
        let status = self.child.wait().expect("the program ends");
        if let Some(reader) = self.reader.take() {
            reader.join().expect("the output is read to its end");
        }
        (exit_code(status), self.text())
    }
}

impl fmt::Debug for Terminal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Terminal").field("child", &self.child).finish_non_exhaustive()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It has already ended if the test waited for it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn cells(count: u16) -> NonZero<u16> {
    NonZero::new(count).expect("a terminal has columns and lines")
}

fn resize(controller: &OwnedFd, columns: u16, lines: u16) {
    let size = Winsize { ws_col: columns, ws_row: lines, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(controller, size).expect("the terminal takes a size");
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether a colour is light. The program uses the black and the white of the 256-colour cube, or
/// the default colours.
fn light(colour: Color, is_foreground: bool) -> bool {
    match colour {
        Color::Default => is_foreground,
        Color::Idx(16) => false,
        Color::Idx(231) => true,
        other => panic!("a colour that a theme may change: {other:?}"),
    }
}

/// What an independent decoder reads from an image of light and dark modules.
#[must_use]
pub fn scan(width: usize, height: usize, is_light: impl Fn(usize, usize) -> bool) -> Vec<String> {
    const SCALE: usize = 4;
    let mut picture =
        rqrr::PreparedImage::prepare_from_greyscale(width * SCALE, height * SCALE, |x, y| {
            if is_light(x / SCALE, y / SCALE) { 255 } else { 0 }
        });
    let found = picture.detect_grids().into_iter();
    found.map(|grid| grid.decode().expect("a QR code that reads").1).collect()
}
