//! `advisories`: no dependency has a known vulnerability, as far as the list of them can be had.

use super::deny::CARGO_DENY;
use super::tools;
use crate::context::{self, Context, Outcome, output};

pub(crate) fn run(context: &Context) -> Outcome {
    tools::ensure(context, &CARGO_DENY)?;
    // The list is a git repository, and no package of a registry.
    if let Err(failure) = output(&mut context.cargo(&["deny", "--locked", "fetch", "db"])) {
        let said = failure.to_string();
        println!("{}", said.trim_end());
        context.not_checked("advisories, because their list could not be fetched");
        return Ok(());
    }
    let what = ["deny", "--locked", "check", "--disable-fetch", "-D", "warnings", "advisories"];
    context::run(&mut context.cargo(&what))
}
