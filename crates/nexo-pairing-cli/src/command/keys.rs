//! `keys`: the keys that sign setup codes.

use clap::Subcommand;
use nexo_pairing::config::Config;
use nexo_pairing::setup::{KeyError, KeyId, KeyInfo};
use nexo_pairing::{Actor, SetupEvent};
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;

use crate::issuer::{blocking, existing_keys, open_issuer};
use crate::table::Table;
use crate::text::{escape, format_time};
use crate::{Context, Result};

#[derive(Debug, Subcommand)]
pub(crate) enum Keys {
    /// Show the keys whose codes are valid, the current one first.
    #[command(after_help = "Example:\n  nexo-pair keys list")]
    List,
    /// Make a new key the current one; codes of older keys stay valid until those are retired.
    #[command(after_help = "Example:\n  nexo-pair keys rotate")]
    Rotate,
    /// Remove an older key: its codes are refused from then on.
    #[command(after_help = "Example:\n  nexo-pair keys retire 5f0c9a1e")]
    Retire {
        /// The key's id, as `keys list` shows it.
        #[arg(value_name = "KEY_ID")]
        id: String,
    },
}

pub(crate) async fn run(keys: Keys, context: &mut Context) -> Result {
    let config = context.config()?;
    match keys {
        Keys::List => list(&config, context).await,
        Keys::Rotate => rotate(&config, context).await,
        Keys::Retire { id } => retire(&config, &id, context).await,
    }
}

async fn list(config: &Config, context: &mut Context) -> Result {
    let keys = existing_keys(config).await?;
    let as_json = |key: &KeyInfo| {
        let modified_at = key.modified.format(&Rfc3339).ok();
        json!({ "id": key.id.to_string(), "modified_at": modified_at, "current": key.is_current })
    };
    let value = json!({ "keys": keys.iter().map(as_json).collect::<Vec<Value>>() });
    context.print(&value, || {
        let path = escape(&config.secret_path().to_string_lossy());
        if keys.is_empty() {
            return format!("there is no key yet; `nexo-pair start` creates {path}\n");
        }
        let mut table = Table::new(["KEY", "SINCE", "STATE"]);
        for key in &keys {
            let state = if key.is_current { "current" } else { "verifies" };
            table.row([&key.id.to_string(), &format_time(key.modified), state]);
        }
        format!("{}\nkey file: {path}\n", table.render())
    })
}

async fn rotate(config: &Config, context: &mut Context) -> Result {
    // Opened first: a change that cannot be recorded must not be made.
    let store = context.database_of(config).open().await?;
    let issuer = open_issuer(config).await?;
    let id = blocking("change the keys", move || issuer.rotate()).await??.to_string();
    store.record(&Actor::cli(), SetupEvent::KeyRotated { key_id: id.clone() }).await?;
    context.print(&json!({ "current": id }), || {
        format!(
            "the current key is {id}; codes signed with the previous one stay valid until it is retired: \
             nexo-pair keys list\n"
        )
    })
}

async fn retire(config: &Config, id: &str, context: &mut Context) -> Result {
    let id = KeyId::parse(id)?;
    // Before the database and the first key are created.
    if !existing_keys(config).await?.iter().any(|key| key.id == id) {
        return Err(KeyError::Unknown { id }.into());
    }
    let store = context.database_of(config).open().await?;
    let issuer = open_issuer(config).await?;
    blocking("change the keys", move || issuer.retire(id)).await??;
    store.record(&Actor::cli(), SetupEvent::KeyRetired { key_id: id.to_string() }).await?;
    context.print(&json!({ "retired": id.to_string() }), || {
        format!("the codes of the key {id} are refused from now on\n")
    })
}
