//! `msrv`: the oldest compiler that the manifests allow compiles the workspace.

use std::collections::BTreeSet;

use crate::context::{self, Context, Outcome, output};

pub(crate) fn run(context: &Context) -> Outcome {
    let metadata = context.metadata()?;
    let versions: BTreeSet<&str> =
        metadata.members.iter().filter_map(|member| member.rust_version.as_deref()).collect();
    for version in versions {
        let toolchain = format!("+{version}");
        if output(&mut context.cargo(&[&toolchain, "--version"])).is_err() {
            context.not_checked(&format!(
                "Rust {version}, which is not installed: rustup toolchain install {version}; but clippy \
                 knows since when the standard library has what is called"
            ));
            continue;
        }
        let what = [&toolchain, "check", "--workspace", "--all-features", "--locked"];
        let target = metadata.target_directory.join("xtask").join("msrv");
        context::run(context.cargo(&what).env("CARGO_TARGET_DIR", target))?;
    }
    Ok(())
}
