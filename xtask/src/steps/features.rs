//! `features`: a library compiles without features and with each one alone.
//!
//! Clippy checks rather than the compiler, to find code that is unused without a feature. All
//! features together are the step `clippy`.

use cargo_metadata::Package;

use crate::context::{Context, Outcome};

pub(crate) fn run(context: &Context) -> Outcome {
    for arguments in context.metadata.workspace_packages().into_iter().flat_map(combinations) {
        context
            .cargo("clippy --locked --package")
            .args(arguments)
            .args(["--", "-D", "warnings"])
            .run()?;
    }
    Ok(())
}

/// The package without features, then with each one alone; nothing for a package without features.
fn combinations(package: &Package) -> Vec<Vec<&str>> {
    if package.features.is_empty() {
        return Vec::new();
    }
    let bare = vec![package.name.as_str(), "--no-default-features"];
    let alone =
        package.features.keys().map(|feature| [&bare[..], &["--features", feature]].concat());
    std::iter::once(bare.clone()).chain(alone).collect()
}
