//! The steps that are one or two calls of cargo over the whole workspace.
//!
//! They all build with `--all-features`, so that each finds what the one before it has built.

use crate::context::{Context, Outcome, run};

pub(crate) fn fmt(context: &Context) -> Outcome {
    run(&mut context.cargo(&["fmt", "--all", "--check"]))
}

pub(crate) fn clippy(context: &Context) -> Outcome {
    let what = ["clippy", "--workspace", "--all-targets", "--all-features", "--locked"];
    run(context.cargo(&what).args(["--", "-D", "warnings"]))
}

pub(crate) fn doc(context: &Context) -> Outcome {
    let what = ["doc", "--workspace", "--no-deps", "--all-features", "--locked"];
    run(context.cargo(&what).env("RUSTDOCFLAGS", "-D warnings"))
}

/// Nextest comes last: its closing line is what a run's tests are counted by.
pub(crate) fn test(context: &Context) -> Outcome {
    run(&mut context.cargo(&["test", "--doc", "--workspace", "--all-features", "--locked"]))?;
    run(&mut context.cargo(&["nextest", "run", "--workspace", "--all-features", "--locked"]))
}
