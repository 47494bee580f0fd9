//! `config`: the configuration in force, and where each value came from.

use clap::Args;
use nexo_pairing::config::{Process, Setting};
use serde_json::{Value, json};

use crate::live_config::start_only;
use crate::table::Table;
use crate::text::escape;
use crate::{Context, Result};

#[derive(Debug, Args)]
#[command(
    after_help = format!(
        "Flags override the environment (NEXO_PAIRING_…), which overrides the file, which overrides the \
        defaults. A running gate reloads it on SIGHUP, except {}, which need a restart.\n\n\
        Example:\n  NEXO_PAIRING_GATE__MODE=pairing nexo-pair config",
        start_only(Process::Gate),
    )
)]
pub(crate) struct ShowConfig {}

pub(crate) fn run(context: &mut Context) -> Result {
    let config = context.config()?;
    let value = |setting: &Setting| json!({ "key": setting.key, "value": setting.value, "source": setting.origin });
    let values: Vec<Value> = config.provenance().iter().map(value).collect();
    context.print(&json!({ "file": config.file(), "values": values }), || {
        let mut table = Table::new(["KEY", "VALUE", "SOURCE"]);
        for setting in config.provenance() {
            table.row([setting.key, &for_people(&setting.value), &setting.origin.to_string()]);
        }
        let file = config.file().map(|file| escape(&file.to_string_lossy()));
        let file = file.unwrap_or_else(|| "none".to_owned());
        format!("{}file: {file}\n", table.render())
    })
}

fn for_people(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
