//! `minimal`: the workspace compiles with the oldest version of each dependency that its manifests allow.
//!
//! Those of the dependencies' own dependencies stay the newest: what these say they need is not ours to
//! mend.

use super::{documents, scratch, tools};
use crate::context::{self, Context, Failure, Outcome};

pub(crate) fn run(context: &Context) -> Outcome {
    tools::require_nightly(context)?;
    let folder = context.metadata()?.target_directory.join("xtask").join("minimal");
    let checkout = folder.join("checkout");
    scratch::copy_files(context.root(), &documents::files(context)?, &checkout)
        .map_err(|error| Failure::new(format!("the copy in {}: {error}", checkout.display())))?;
    let update = ["+nightly", "update", "-Z", "direct-minimal-versions"];
    context::run(context.cargo(&update).current_dir(&checkout))?;
    let check = ["check", "--workspace", "--all-features", "--locked"];
    let mut check = context.cargo(&check);
    context::run(check.current_dir(&checkout).env("CARGO_TARGET_DIR", folder.join("target")))
}
