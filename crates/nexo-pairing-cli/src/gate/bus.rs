//! A gate on a bus: takes events from it and passes on those that are admitted.
//!
//! A taker ([`taker`]) reads a subscription and decides from memory, one message after the other. What has to
//! wait for the store or for a plugin goes to the [`Lanes`] of its channel, so that it delays nothing
//! else. Both work at a [`Desk`], which knows what follows from a decision. Everything that waits is
//! counted and has a bound; what is beyond it is refused and told.

mod desk;
mod event;
mod flags;
mod in_force;
mod known;
mod lane;
mod outlet;
mod subject;
mod taker;
mod tally;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use nexo_pairing::config::Config;
use nexo_pairing::nats::{Bus, BusState, NatsError};
use nexo_pairing::server::MetricsServer;
use nexo_pairing::{PairingGate, PairingStore};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval_at};

use super::remarks::Remarks;
use super::settings::{Loader, Settings};
use super::signals::{Asked, Grace, HangUp};
use super::{Running, accounts, options};
use crate::bus;
use crate::context::Context;
use crate::error::{CliError, chain};
use crate::exit::Exit;
use crate::prometheus;
use crate::text::escaped;
use desk::Desk;
pub(super) use flags::Flags;
use in_force::InForce;
use lane::Lanes;
use outlet::Outlet;
use subject::Pattern;

/// How many messages wait to be taken at most; they are taken faster than they come, unless the bus does
/// not take what is passed on.
const MAX_WAITING: usize = 16_384;

/// How long an ending gate works on what it has taken.
const GRACE: Duration = Duration::from_secs(10);

/// How often it says what it did, if it did anything.
const REPORTED: Duration = Duration::from_secs(60);

pub(super) async fn run(
    running: Running,
    flags: &Flags,
    dry_run: bool,
    context: &mut Context,
) -> Result<Exit, CliError> {
    let Running { mut loader, hang_up } = running;
    let config = loader.config();
    let patterns = Pattern::parse_all(flags.subjects(), config.adapters())?;
    let mut nats = bus::options(config)?;
    nats.subscription_capacity = MAX_WAITING;
    // Before the gate is made: what counts keeps the recorder that it finds.
    let metrics = flags.metrics_listen.map(prometheus::record).transpose()?;
    let metrics = match metrics {
        Some(options) => Some(MetricsServer::bind(options).await?),
        None => None,
    };
    let database = context.database_of(loader.config());
    let store = loader.open(&database, dry_run).await?;
    let settings = loader.start(&store).await?;
    let outward = Bus::connect(nats.clone()).await?;
    let mut inward = Vec::new();
    for pattern in patterns {
        // A connection of its own, on which nothing else happens: only so nothing is lost when the
        // subscription ends.
        inward.push((Bus::connect(nats.clone()).await?, pattern));
    }

    let stderr = std::mem::replace(&mut context.io.stderr, Box::new(io::sink()));
    let remarks = Remarks::new(stderr);
    let outlet = if dry_run {
        remarks.rehearses(&database);
        Outlet::print(std::mem::replace(&mut context.io.stdout, Box::new(io::sink())))
    } else {
        Ok(Outlet::Publish(outward.clone()))
    };
    let group = (!dry_run).then_some(flags.queue_group.as_str());
    let result = match outlet {
        Ok(outlet) => {
            let remarks = remarks.clone();
            let post = Post { outward, inward, store, outlet, remarks, metrics, dry_run };
            post.stand(loader, settings, hang_up, group).await
        }
        Err(error) => Err(error),
    };
    // Errors are told through the same stream again.
    context.io.stderr = Box::new(remarks);
    result
}

/// A gate at its place.
struct Post {
    /// Where everything goes that the gate sends.
    outward: Bus,
    /// Where messages come from.
    inward: Vec<(Bus, Pattern)>,
    store: PairingStore,
    outlet: Outlet,
    remarks: Remarks,
    metrics: Option<MetricsServer>,
    dry_run: bool,
}

impl Post {
    /// Stands there until it is asked to end.
    async fn stand(
        self,
        mut loader: Loader,
        settings: Settings,
        hang_up: HangUp,
        group: Option<&str>,
    ) -> Result<Exit, CliError> {
        let Self { outward, inward, store, outlet, remarks, metrics, dry_run } = self;
        let mut signals = hang_up.and_the_others()?;
        let gate = PairingGate::with_options(Arc::new(store.clone()), options(&settings));
        // A configuration that is refused has nothing to say of a start.
        let in_force = Arc::new(InForce::new(settings, &outward, dry_run, None)?);
        loader.say_start(&remarks);
        // So that the first message is decided by the lists.
        if let Err(error) = store.refresh().await {
            remarks.say(&format!("the lists could not be read: {}", chain(&error)));
        }
        let (new_in_force, next_in_force) = watch::channel(in_force);
        let desk = Arc::new(Desk::new(gate, next_in_force, outlet, remarks.clone()));

        let (stop, stopping) = watch::channel(false);
        let work = begin(&inward, &desk, group, &stopping).await?;
        say_where(&inward, group, metrics.as_ref(), &remarks);
        let mut beside = JoinSet::new();
        if let Some(metrics) = metrics {
            beside.spawn(metrics.run());
        }

        let mut work = std::pin::pin!(work);
        let mut state = inward.first().map_or(&outward, |(bus, _)| bus).state();
        let lost_now = || inward.iter().map(|(bus, _)| bus.lost()).sum();
        let mut report = interval_at(Instant::now() + REPORTED, REPORTED);
        let mut lost = 0;
        let mut grace = Grace::of(GRACE);
        loop {
            tokio::select! {
                finished = work.as_mut() => {
                    desk.tally().report_all(&remarks);
                    finished?;
                    break;
                }
                asked = signals.next() => match asked {
                    Asked::End => {
                        stop.send_replace(true);
                        grace.begin();
                    }
                    Asked::Reload => {
                        let before = desk.in_force();
                        let adapters = |config: &Config| {
                            InForce::new(Arc::new(config.clone()), &outward, dry_run, Some(&before))
                        };
                        let reload = loader.reload(&store, &remarks, adapters);
                        match signals.unless_ended(reload).await {
                            Some(Some((settings, new))) => {
                                desk.gate().set_accounts(accounts(&settings));
                                new_in_force.send_replace(Arc::new(new.with_config(settings)));
                            }
                            Some(None) => {}
                            None => {
                                stop.send_replace(true);
                                grace.begin();
                            }
                        }
                    }
                },
                Ok(()) = state.changed() => say_state(*state.borrow_and_update(), &remarks),
                _ = report.tick() => {
                    desk.tally().report(&remarks);
                    say_lost(&mut lost, lost_now(), &remarks);
                }
                () = desk.outlet().closed() => return Ok(Exit::Done),
                () = grace.over() => {
                    let waiting = desk.tally().unfinished();
                    let source = io::Error::other(format!("{waiting} messages were not finished"));
                    return Err(CliError::Io { what: "end in time".to_owned(), source });
                }
            }
        }
        say_lost(&mut lost, lost_now(), &remarks);
        outward.close().await?;
        if grace.has_begun() { Ok(Exit::Done) } else { Err(NatsError::Closed.into()) }
    }
}

/// Subscribes; what is to be done then ends when everything that was taken is finished.
async fn begin(
    inward: &[(Bus, Pattern)],
    desk: &Arc<Desk>,
    group: Option<&str>,
    stopping: &watch::Receiver<bool>,
) -> Result<impl Future<Output = Result<(), CliError>> + use<>, CliError> {
    let lanes = Arc::new(Lanes::new(Arc::clone(desk)));
    let mut takers = JoinSet::new();
    for (bus, pattern) in inward {
        let subject = pattern.as_str();
        let subscription = match group {
            Some(group) => bus.subscribe_queue(subject, group).await?,
            None => bus.subscribe(subject).await?,
        };
        // From here on the server sends everything.
        bus.flush().await?;
        let (desk, lanes) = (Arc::clone(desk), Arc::clone(&lanes));
        takers.spawn(taker::take(subscription, bus.state(), desk, lanes, stopping.clone()));
    }
    let desk = Arc::clone(desk);
    Ok(async move {
        while takers.join_next().await.is_some() {}
        lanes.finish().await;
        desk.outlet().finish().await
    })
}

fn say_where(
    inward: &[(Bus, Pattern)],
    group: Option<&str>,
    metrics: Option<&MetricsServer>,
    remarks: &Remarks,
) {
    if let Some(metrics) = metrics {
        remarks.say(&format!("metrics: http://{}/metrics", metrics.local_addr()));
    }
    let subjects: Vec<&str> = inward.iter().map(|(_, pattern)| pattern.as_str()).collect();
    let subjects = escaped(&subjects.join(", "));
    match group {
        Some(group) => {
            let group = escaped(group);
            remarks.say(&format!("it takes {subjects} as one of the group {group}"));
        }
        None => remarks.say(&format!("it listens to {subjects} and publishes nothing")),
    }
}

fn say_state(state: BusState, remarks: &Remarks) {
    match state {
        BusState::Connected => remarks.say("the bus is back"),
        BusState::Disconnected => remarks.say("the bus is away: what is sent there now is lost"),
        _ => {}
    }
}

/// Says how many messages were lost before they were taken.
fn say_lost(told: &mut u64, lost: u64, remarks: &Remarks) {
    if lost > *told {
        *told = lost;
        remarks.say(&format!("messages come faster than they are taken: {lost} were lost so far"));
    }
}
