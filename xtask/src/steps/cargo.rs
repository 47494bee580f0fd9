//! The steps that are one or two calls of cargo for the whole workspace.
//!
//! They all use `--all-features`, so that each reuses what the one before it has built.

use super::tools::{self, CargoTool};
use crate::context::{Context, Outcome};

const MACHETE: CargoTool = CargoTool { name: "cargo-machete", version: "0.9.2" };

pub(crate) fn fmt(context: &Context) -> Outcome {
    Ok(context.cargo("fmt --all --check").run()?)
}

pub(crate) fn clippy(context: &Context) -> Outcome {
    let what = "clippy --workspace --all-targets --all-features --locked -- -D warnings";
    Ok(context.cargo(what).run()?)
}

pub(crate) fn doc(context: &Context) -> Outcome {
    let doc = context.cargo("doc --workspace --no-deps --all-features --locked");
    Ok(doc.env("RUSTDOCFLAGS", "-D warnings").run()?)
}

/// Nextest comes last: its summary is where the number of tests is read.
pub(crate) fn test(context: &Context) -> Outcome {
    context.cargo("test --doc --workspace --all-features --locked").run()?;
    Ok(context.cargo("nextest run --workspace --all-features --locked").run()?)
}

pub(crate) fn unused(context: &Context) -> Outcome {
    tools::ensure(context, &MACHETE)?;
    Ok(context.cargo("machete").run()?)
}
