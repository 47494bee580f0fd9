//! A gate between standard input and standard output.
//!
//! Three threads share the work: one reads standard input ([`lines`]), one decides and writes
//! ([`screen`](super::screen)), and the caller's runtime handles signals. So neither a slow reader nor a
//! busy store delays a signal.

use std::io;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::lines;
use super::screen::Screener;
use super::settings::Loader;
use super::status_log::StatusLog;
use crate::exit::Exit;
use crate::process::start_thread;
use crate::signals::{ReloadSignal, Signal};
use crate::{CliError, Context, Result};

/// How long an ending gate waits for lines to be decided and for its output to be read.
const GRACE: Duration = Duration::from_secs(5);

pub(super) async fn run(
    mut loader: Loader,
    reload_signal: ReloadSignal,
    dry_run: bool,
    log: &StatusLog,
    context: &mut Context,
) -> Result<Exit> {
    let database = context.database_of(loader.config());
    let store = loader.open(&database, dry_run).await?;
    let settings = loader.start(&store).await?;
    let mut signals = reload_signal.handle_all()?;

    let stdin = std::mem::replace(&mut context.io.stdin, Box::new(io::empty()));
    let stdout = std::mem::replace(&mut context.io.stdout, Box::new(io::sink()));
    if dry_run {
        log.dry_run(&database);
    }
    loader.log_start(log);
    let (batches, next_batch) = mpsc::channel(lines::QUEUED);
    start_thread("nexo-pair-read", move || lines::read(stdin, &batches))?;

    let stop = CancellationToken::new();
    let (new_settings, next_settings) = watch::channel(settings);
    let (ended, mut end) = oneshot::channel();
    let screener = Screener::new(store.clone(), next_settings, stdout, log.clone(), dry_run);
    let (runtime, stopped) = (tokio::runtime::Handle::current(), stop.clone());
    start_thread("nexo-pair-gate", move || {
        // Fails if the receiver has stopped waiting.
        let _ = ended.send(runtime.block_on(screener.run(next_batch, &stopped)));
    })?;

    let mut deadline: Option<Instant> = None;
    loop {
        let signal = tokio::select! {
            result = &mut end => {
                let gone = || io::Error::other("the deciding thread has stopped");
                return result.unwrap_or_else(|_| Err(CliError::io("go on deciding")(gone())));
            }
            signal = signals.next() => signal,
            () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                let why = "some lines are undecided, or the output is not being read";
                return Err(CliError::io("end in time")(io::Error::other(why)));
            }
        };
        let reloaded = match signal {
            Signal::End => None,
            Signal::Reload => signals.unless_ended(loader.reload(&store, log, |_| Ok(()))).await,
        };
        match reloaded {
            Some(Some((settings, ()))) => {
                // Applies to the lines that arrive from now on.
                new_settings.send_replace(settings);
                loader.log_reload(log);
            }
            Some(None) => {}
            None => {
                // The second time, it ends at once.
                let grace = if stop.is_cancelled() { Duration::ZERO } else { GRACE };
                deadline = Some(Instant::now() + grace);
                stop.cancel();
            }
        }
    }
}
