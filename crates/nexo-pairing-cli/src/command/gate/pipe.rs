//! A gate between standard input and standard output.
//!
//! Three threads share the work: one reads standard input ([`lines`]), one decides and writes
//! ([`screen`](super::screen)), and the caller's runtime waits for signals. So neither a reader that does
//! not take the answers nor a store that is busy keeps a signal from being heard.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use super::lines;
use super::remarks::Remarks;
use super::screen::{Screener, Stop};
use super::settings::Loader;
use super::signals::{Asked, Grace, HangUp};
use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::process::start_thread;

/// How long an ending gate waits for the lines that wait, and for somebody to take their answers.
const GRACE: Duration = Duration::from_secs(5);

pub(super) async fn run(
    mut loader: Loader,
    hang_up: HangUp,
    dry_run: bool,
    context: &mut Context,
) -> Result<Exit, CliError> {
    let database = context.database_of(loader.config());
    let store = loader.open(&database, dry_run).await?;
    let settings = loader.start(&store).await?;
    let mut signals = hang_up.and_the_others()?;

    let stdin = std::mem::replace(&mut context.io.stdin, Box::new(io::empty()));
    let stdout = std::mem::replace(&mut context.io.stdout, Box::new(io::sink()));
    let stderr = std::mem::replace(&mut context.io.stderr, Box::new(io::sink()));
    let remarks = Remarks::new(stderr);
    if dry_run {
        remarks.rehearses(&database);
    }
    loader.say_start(&remarks);
    let (batches, next_batch) = mpsc::channel(lines::QUEUED);
    start_thread("nexo-pair-read", move || lines::read(stdin, &batches))?;

    let stop = Arc::new(Stop::default());
    let (new_settings, next_settings) = watch::channel(settings);
    let (ended, mut end) = oneshot::channel();
    let screener = Screener::new(store.clone(), next_settings, stdout, remarks.clone(), dry_run);
    let (runtime, asked) = (tokio::runtime::Handle::current(), stop.clone());
    start_thread("nexo-pair-gate", move || {
        // Whoever waited is gone when this fails.
        let _ = ended.send(runtime.block_on(screener.run(next_batch, &asked)));
    })?;

    let mut grace = Grace::of(GRACE);
    let result = loop {
        tokio::select! {
            result = &mut end => break result.unwrap_or(Err(CliError::Io {
                what: "go on deciding".to_owned(),
                source: io::Error::other("the thread that decides is gone"),
            })),
            asked = signals.next() => match asked {
                Asked::End => {
                    stop.ask();
                    grace.begin();
                }
                Asked::Reload => {
                    let reload = loader.reload(&store, &remarks, |_| Ok(()));
                    match signals.unless_ended(reload).await {
                        Some(Some((settings, ()))) => {
                            // Lines that come from now on are decided by it.
                            new_settings.send_replace(settings);
                            loader.say_reload(&remarks);
                        }
                        Some(None) => {}
                        None => {
                            stop.ask();
                            grace.begin();
                        }
                    }
                }
            },
            () = grace.over() => {
                break Err(CliError::Io {
                    what: "end in time".to_owned(),
                    source: io::Error::other("lines still wait, or their answers are not taken"),
                });
            }
        }
    };
    // Errors are told through the same stream again.
    context.io.stderr = Box::new(remarks);
    result
}
