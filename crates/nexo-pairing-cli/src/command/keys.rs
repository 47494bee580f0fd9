//! `keys`: the keys that sign setup codes.

use clap::Subcommand;
use nexo_pairing::config::Config;
use nexo_pairing::{Actor, KeyError, KeyId, KeyInfo, SetupEvent};
use serde::Serialize;
use time::OffsetDateTime;

use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::issuer::{blocking, existing_keys, open_issuer};
use crate::table::Table;
use crate::text::{escape, format_time};

#[derive(Debug, Subcommand)]
pub(crate) enum Keys {
    /// Show the keys whose codes are good, the current one first.
    #[command(after_help = "Example:\n  nexo-pair keys list")]
    List,
    /// Make a new key the current one; codes of the others stay good until those are retired.
    #[command(after_help = "Example:\n  nexo-pair keys rotate")]
    Rotate,
    /// Take an older key away: its codes are refused from then on.
    #[command(after_help = "Example:\n  nexo-pair keys retire 5f0c9a1e")]
    Retire {
        /// The key's id, as `keys list` shows it.
        #[arg(value_name = "KEY_ID")]
        id: String,
    },
}

pub(crate) async fn run(keys: Keys, context: &mut Context) -> Result<Exit, CliError> {
    let config = context.config()?;
    match keys {
        Keys::List => list(&config, context).await,
        Keys::Rotate => rotate(&config, context).await,
        Keys::Retire { id } => retire(&config, &id, context).await,
    }
}

async fn list(config: &Config, context: &mut Context) -> Result<Exit, CliError> {
    let rows: Vec<Row> = existing_keys(config).await?.iter().map(Row::from).collect();
    context.print(&Listing { keys: &rows }, || {
        let path = config.secret_path().to_string_lossy();
        if rows.is_empty() {
            return format!("there is no key yet; `nexo-pair start` makes {}\n", escape(&path));
        }
        let mut table = Table::new(["KEY", "SINCE", "STATE"]);
        for row in &rows {
            let state = if row.current { "current" } else { "verifies" };
            table.row([row.id.as_str(), &format_time(row.modified_at), state]);
        }
        format!("{}\nkey file: {}\n", table.render(), escape(&path))
    })?;
    Ok(Exit::Done)
}

async fn rotate(config: &Config, context: &mut Context) -> Result<Exit, CliError> {
    // First: a change that cannot be recorded is not made.
    let store = context.database_of(config).open().await?;
    let issuer = open_issuer(config).await?;
    let id = blocking("change the keys", move || issuer.rotate()).await??.to_string();
    store.record(&Actor::cli(), SetupEvent::KeyRotated { key_id: id.clone() }).await?;
    context.print(&serde_json::json!({ "current": id }), || {
        format!(
            "the current key is {id}; codes of the one before stay good until it is retired: \
             nexo-pair keys list\n"
        )
    })?;
    Ok(Exit::Done)
}

async fn retire(config: &Config, id: &str, context: &mut Context) -> Result<Exit, CliError> {
    let id = KeyId::parse(id)?;
    // Where there is no such key, nothing is made.
    if !existing_keys(config).await?.iter().any(|key| key.id == id) {
        return Err(KeyError::Unknown { id }.into());
    }
    let store = context.database_of(config).open().await?;
    let issuer = open_issuer(config).await?;
    blocking("change the keys", move || issuer.retire(id)).await??;
    store.record(&Actor::cli(), SetupEvent::KeyRetired { key_id: id.to_string() }).await?;
    context.print(&serde_json::json!({ "retired": id.to_string() }), || {
        format!("the codes of the key {id} are refused from now on\n")
    })?;
    Ok(Exit::Done)
}

#[derive(Serialize)]
struct Listing<'a> {
    keys: &'a [Row],
}

#[derive(Serialize)]
struct Row {
    id: String,
    #[serde(with = "time::serde::rfc3339")]
    modified_at: OffsetDateTime,
    current: bool,
}

impl From<&KeyInfo> for Row {
    fn from(key: &KeyInfo) -> Self {
        Self { id: key.id.to_string(), modified_at: key.modified, current: key.is_current }
    }
}
