//! `deny`: the rules of `deny.toml` for what the workspace depends on.

use super::tools::{self, CargoTool};
use crate::context::{self, Context, Outcome};

pub(super) const CARGO_DENY: CargoTool = CargoTool { name: "cargo-deny", version: "0.20.2" };

pub(crate) fn run(context: &Context) -> Outcome {
    tools::ensure(context, &CARGO_DENY)?;
    // `-D warnings`: an exception that is not needed any more is a warning there.
    let what = ["deny", "--locked", "check", "-D", "warnings", "bans", "licenses", "sources"];
    context::run(&mut context.cargo(&what))?;
    println!(
        "Advisories are looked at by `cargo xtask advisories`: their list is no package registry."
    );
    Ok(())
}
