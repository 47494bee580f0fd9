//! `minimal`: the workspace compiles with the oldest version of each dependency that its manifests
//! allow.
//!
//! Indirect dependencies stay at their newest versions: their lower bounds are not ours to correct.

use super::{documents, scratch, tools};
use crate::context::{Context, Outcome};

pub(crate) fn run(context: &Context) -> Outcome {
    tools::require_nightly(context)?;
    let folder = context.work_folder("minimal");
    let checkout = folder.join("checkout");
    scratch::copy_files(context, &documents::files(context)?, &checkout)?;
    let _in_checkout = context.shell.push_dir(&checkout);
    context.cargo("+nightly update -Z direct-minimal-versions").run()?;
    let check = context.cargo("check --workspace --all-features --locked");
    Ok(check.env("CARGO_TARGET_DIR", folder.join("target")).run()?)
}
