//! `doctor`: looks for what is wrong on this machine, and says how to mend it. It changes nothing.

mod above;
mod contents;
mod files;
mod policy;

use clap::Args;
use nexo_pairing::config::{Config, Network};
use serde::Serialize;
use time::OffsetDateTime;

use self::files::Found;
use crate::context::{Context, Database};
use crate::error::{CliError, chain};
use crate::exit::Exit;
use crate::issuer::existing_keys;
use crate::text::escaped;

#[derive(Debug, Args)]
#[command(
    after_help = "Nothing is made or changed. Exit status 0 when nothing failed (a warning is no \
    failure), 2 when the configuration is wrong, 3 when the storage is.\n\n\
    Example:\n  nexo-pair doctor --json | jq '.checks[] | select(.status != \"ok\")'"
)]
pub(crate) struct Doctor {}

/// What was looked at, and what was found.
#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    status: Status,
    message: String,
    /// What mends it: a command, or what to do.
    mend: Option<String>,
    /// How the program ends when this failed.
    #[serde(skip)]
    exit: Exit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Ok,
    Warn,
    Fail,
}

#[derive(Debug, Serialize)]
struct Checks {
    checks: Vec<Check>,
}

impl Check {
    fn ok(name: &'static str, message: impl Into<String>) -> Self {
        Self::new(name, Status::Ok, message.into(), None)
    }

    fn warn(name: &'static str, message: impl Into<String>, mend: impl Into<String>) -> Self {
        Self::new(name, Status::Warn, message.into(), Some(mend.into()))
    }

    /// A failure of the storage.
    fn fail(name: &'static str, message: impl Into<String>, mend: impl Into<String>) -> Self {
        Self::new(name, Status::Fail, message.into(), Some(mend.into()))
    }

    /// A failure as a command would tell it.
    fn error(name: &'static str, error: &CliError) -> Self {
        let exit = error.exit();
        Self { exit, ..Self::new(name, Status::Fail, chain(error), error.hint()) }
    }

    fn new(name: &'static str, status: Status, message: String, mend: Option<String>) -> Self {
        Self { name, status, message: escaped(&message), mend, exit: Exit::Storage }
    }
}

pub(crate) async fn run(_: &Doctor, context: &mut Context) -> Result<Exit, CliError> {
    let now = OffsetDateTime::now_utc();
    let mut checks = Vec::new();
    let config = match context.config() {
        Ok(config) => {
            files::configuration(&config, &mut checks);
            Some(config)
        }
        Err(error) => {
            let mut check = Check::error("configuration", &error);
            check.mend.get_or_insert_with(|| "correct it, and look again: nexo-pair config".into());
            checks.push(check);
            None
        }
    };
    if let Some(config) = &config {
        checks.push(key(config).await);
    }
    // Without a configuration there may still be a database to look at.
    let flag = || context.db_flag().map(Database::at);
    if let Some(database) = config.as_ref().map(Database::of).or_else(flag) {
        if let Some(config) = &config {
            let mut decisive = vec![config.secret_path(), database.path()];
            decisive.extend(config.file());
            above::folders(&decisive, database.path(), &mut checks);
            checks.extend(proxies(config));
        }
        files::folder(database.path(), &mut checks);
        files::disk(database.path(), &mut checks);
        let is_configured = config.as_ref().is_some_and(|config| config.file().is_some());
        let is_usable = match files::database(database.path(), is_configured, &mut checks) {
            Found::File => {
                files::beside(database.path(), &mut checks);
                contents::check(database.path(), now, &mut checks).await
            }
            Found::Nothing => true,
            Found::Other => false,
        };
        // There is nothing to learn from a database that cannot be read.
        if let Some(config) = config.filter(|_| is_usable) {
            match database.view().await {
                Ok(known) => policy::check(&config, &known, &mut checks).await?,
                Err(error) => checks.push(Check::error("contents", &error)),
            }
        }
    }
    done(context, checks)
}

/// The key that signs setup codes.
async fn key(config: &Config) -> Check {
    let name = "key";
    let shown = config.secret_path().display();
    match existing_keys(config).await {
        Ok(keys) => match &keys[..] {
            [] => Check::ok(name, format!("{shown} is not there yet; `nexo-pair start` makes it")),
            [current] => Check::ok(name, format!("{shown} holds the key {}", current.id)),
            [current, older @ ..] => {
                let older = older.len();
                Check::ok(name, format!("{shown} holds the key {}; {older} older", current.id))
            }
        },
        Err(error) => Check::error(name, &error),
    }
}

/// Networks that hold more than private addresses: whoever is in one names any address as their own.
fn proxies(config: &Config) -> Option<Check> {
    let is_wide = |network: &&Network| network.prefix() < if network.is_ipv6() { 7 } else { 8 };
    let network = config.trusted_proxies().iter().find(is_wide)?;
    Some(Check::warn(
        "trusted_proxies",
        format!(
            "{network} holds more than proxies: anybody there can name any address as a client's, and so \
             evade the limits of failed claims"
        ),
        "name the addresses of the proxies in pairing.trusted_proxies",
    ))
}

fn done(context: &mut Context, checks: Vec<Check>) -> Result<Exit, CliError> {
    let failed = checks.iter().filter(|check| check.status == Status::Fail);
    let exit = failed.map(|check| check.exit).max().unwrap_or(Exit::Done);
    let checks = Checks { checks };
    context.print(&checks, || checks.checks.iter().map(for_people).collect())?;
    Ok(exit)
}

fn for_people(check: &Check) -> String {
    let status = match check.status {
        Status::Ok => "ok",
        Status::Warn => "warn",
        Status::Fail => "FAIL",
    };
    let Check { name, message, mend, .. } = check;
    let mend =
        mend.as_ref().map(|mend| format!("{:21}mend: {}\n", "", escaped(mend))).unwrap_or_default();
    format!("{status:<5} {name:<14} {message}\n{mend}")
}
