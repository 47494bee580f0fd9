//! `deny`: the rules of `deny.toml` for what the workspace depends on.

use super::tools::{self, CargoTool};
use crate::context::{self, Context, Outcome};

const CARGO_DENY: CargoTool = CargoTool { name: "cargo-deny", version: "0.20.2" };

pub(crate) fn run(context: &Context) -> Outcome {
    tools::ensure(context, &CARGO_DENY)?;
    // `-D warnings`: an exception that is not needed any more is a warning there.
    let what = ["deny", "--locked", "check", "-D", "warnings", "bans", "licenses", "sources"];
    context::run(&mut context.cargo(&what))?;
    println!(
        "Advisories are NOT checked: their list is no package registry. Where there is a network: \
         `cargo deny check advisories`."
    );
    Ok(())
}
