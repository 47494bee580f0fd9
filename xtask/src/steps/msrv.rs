//! `msrv`: the oldest compiler that the manifests allow compiles the workspace.

use std::collections::BTreeSet;

use crate::context::{Context, Outcome};

pub(crate) fn run(context: &Context) -> Outcome {
    let packages = context.metadata.workspace_packages();
    let versions: BTreeSet<_> =
        packages.iter().filter_map(|package| package.rust_version.as_ref()).collect();
    for version in versions {
        if context.cargo(&format!("+{version} --version")).quiet().ignore_stderr().read().is_err() {
            context.not_checked(&format!(
                "Rust {version}, which is not installed: rustup toolchain install {version}; but \
                 clippy rejects what its standard library lacks"
            ));
            continue;
        }
        let check = format!("+{version} check --workspace --all-features --locked");
        context.cargo(&check).env("CARGO_TARGET_DIR", context.work_folder("msrv")).run()?;
    }
    Ok(())
}
