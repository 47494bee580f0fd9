//! `deny`, `layers` and `advisories`: what `cargo deny` checks of the dependencies.

use cargo_metadata::{DependencyKind, Package};

use super::tools::{self, CargoTool};
use crate::context::{Context, Outcome, fail_on};

const CARGO_DENY: CargoTool = CargoTool { name: "cargo-deny", version: "0.20.2" };

/// Which of our crates may depend on which.
const LAYERS: &str = ".config/layers.toml";

/// Installs `cargo deny` if it is missing.
pub(crate) fn ensure(context: &Context) -> Outcome {
    tools::ensure(context, &CARGO_DENY)
}

/// The rules of `deny.toml`. An entry that is no longer needed is a warning, hence `-D warnings`.
pub(crate) fn run(context: &Context) -> Outcome {
    ensure(context)?;
    context.cargo("deny --locked check -D warnings bans licenses sources").run()?;
    println!("Advisories are a step of their own, `advisories`: their list is on the network.");
    Ok(())
}

/// The rules of [`LAYERS`]. `cargo deny` knows only crates with an entry, so every crate that another
/// one depends on must have one.
pub(crate) fn layers(context: &Context) -> Outcome {
    ensure(context)?;
    let published: Vec<&Package> = context.published().collect();
    let missing = without_entry(&published, &context.shell.read_file(LAYERS)?);
    fail_on(&missing)?;
    Ok(context
        .cargo("deny --locked --config")
        .args([LAYERS, "check", "-D", "warnings", "bans"])
        .run()?)
}

fn without_entry(packages: &[&Package], rules: &str) -> Vec<String> {
    let imports = packages.iter().flat_map(|package| &package.dependencies);
    let mut names: Vec<&str> = imports
        .filter(|import| import.kind != DependencyKind::Development && import.path.is_some())
        .map(|import| import.name.as_str())
        .filter(|name| !rules.contains(&format!("{{ crate = \"{name}\"")))
        .collect();
    names.sort_unstable();
    names.dedup();
    names.into_iter().map(|name| format!("{name} has no entry in {LAYERS}")).collect()
}

/// Known vulnerabilities, if their list can be fetched: it is a git repository, not a registry.
pub(crate) fn advisories(context: &Context) -> Outcome {
    ensure(context)?;
    if let Err(error) = context.cargo("deny --locked fetch db").run() {
        println!("{error}");
        context.not_checked("advisories, because their list could not be fetched");
        return Ok(());
    }
    Ok(context.cargo("deny --locked check --disable-fetch -D warnings advisories").run()?)
}
