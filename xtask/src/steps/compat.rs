//! `compat` and `compat-api`: the package `crates/compat-0.1`, a workspace of its own; the tests of 0.1.8 on
//! it, and its API beside that of 0.1.8.

use std::collections::BTreeSet;

use cargo_metadata::camino::Utf8PathBuf;
use cargo_metadata::{MetadataCommand, Package};

use super::{deny, public_api, tools};
use crate::context::{Context, Outcome, fail_on};

const PACKAGE: &str = "crates/compat-0.1";

/// A package that depends on 0.1.8, by which cargo downloads it.
const PEER: &str = "tests/peer/theirs/Cargo.toml";

/// How many tests 0.1.8 has in its folder `tests`.
const TESTS: usize = 28;

/// The tests of 0.1.8 that are left out. This one changes the rows of a store in memory behind its back,
/// by a second connection; ours is private. Our own test does it to a file.
const EXCEPTIONS: [&str; 1] = ["purge_expired_bumps_codes_expired_and_dec_gauge_per_channel"];

/// The modules of 0.1.8 that the package leaves out.
const LEFT_OUT: [&str; 3] = ["plugin_http", "plugin_metrics", "plugin_poller"];

/// The manifest of a package for the tests of 0.1.8, without ours.
const IMPORTS: &str = r#"
[package]
name = "tests-of-0-1-8"
version = "0.0.0"
edition = "2021"

[workspace]

[dev-dependencies]
anyhow = "1"
async-trait = "0.1"
chrono = "0.4"
serde_json = "1"
serial_test = "3"
sqlx = { version = "0.8", default-features = false }
tempfile = "3"
tokio = { version = "1", features = ["macros", "rt-multi-thread"] }
"#;

pub(crate) fn run(context: &Context) -> Outcome {
    let target = context.work_folder("compat").join("target");
    let in_package = |arguments: &str| -> Outcome {
        let _in_package = context.shell.push_dir(PACKAGE);
        Ok(context.cargo(arguments).env("CARGO_TARGET_DIR", &target).run()?)
    };
    in_package("fmt --check")?;
    in_package("clippy --all-targets --locked -- -D warnings")?;
    in_package("clippy --no-default-features --locked -- -D warnings")?;
    deny::ensure(context)?;
    in_package("deny --locked check -D warnings bans licenses sources")?;
    in_package("test --locked --quiet")?;
    run_tests_of_peer(context, &target)
}

/// Copies the tests of 0.1.8, as cargo downloaded them, into a package beside ours, and runs them.
fn run_tests_of_peer(context: &Context, target: &Utf8PathBuf) -> Outcome {
    let shell = &context.shell;
    let peer = peer(context)?;
    let folder = context.work_folder("compat").join("peer");
    shell.remove_path(folder.join("tests"))?;
    shell.create_dir(folder.join("tests"))?;
    let mut found = 0;
    for file in peer.targets.iter().filter(|target| target.is_test()) {
        let source = shell.read_file(&file.src_path)?;
        found += source.lines().filter(|line| ["#[test]", "#[tokio::test]"].contains(line)).count();
        shell.copy_file(&file.src_path, folder.join("tests"))?;
    }
    if found != TESTS {
        return Err(format!("0.1.8 has {TESTS} tests, but {found} were found").into());
    }
    let ours = context.metadata.workspace_root.join(PACKAGE);
    let manifest = format!("{IMPORTS}nexo-pairing = {{ path = \"{ours}\" }}\n");
    shell.write_file(folder.join("Cargo.toml"), manifest)?;
    shell.write_file(folder.join("src/lib.rs"), "")?;
    shell.copy_file(ours.join("Cargo.lock"), &folder)?;

    let _in_folder = shell.push_dir(&folder);
    let test = context
        .cargo("test --offline --quiet --tests --")
        .args(EXCEPTIONS.iter().flat_map(|test| ["--skip", test]));
    Ok(test.env("CARGO_TARGET_DIR", target).run()?)
}

/// 0.1.8, as cargo downloaded it.
fn peer(context: &Context) -> Outcome<Package> {
    let mut metadata = MetadataCommand::new();
    metadata.manifest_path(context.metadata.workspace_root.join(PEER));
    let metadata = metadata.other_options(["--locked".to_owned()]).exec()?;
    let peer = metadata.packages.into_iter().find(|package| package.name == "nexo-pairing");
    Ok(peer.ok_or_else(|| format!("{PEER} does not depend on nexo-pairing"))?)
}

/// Everything public in 0.1.8, hidden items included, is in the package, with the same signature.
pub(crate) fn api(context: &Context) -> Outcome {
    tools::require_nightly(context)?;
    tools::ensure(context, &public_api::TOOL)?;
    let (shell, folder) = (&context.shell, context.work_folder("compat-api"));
    let copy = folder.join("peer");
    shell.remove_path(&copy)?;
    shell.create_dir(&folder)?;
    let manifest = peer(context)?.manifest_path;
    shell.cmd("cp").arg("-R").arg(manifest.with_file_name("")).arg(&copy).run()?;
    let manifest = copy.join("Cargo.toml");
    shell.write_file(&manifest, shell.read_file(&manifest)? + "\n[workspace]\n")?;
    let listing = |folder: Utf8PathBuf| -> Outcome<String> {
        let _in_folder = shell.push_dir(folder);
        let list = context.cargo("+nightly public-api -ss --color never --target-dir");
        let list = list.arg(context.work_folder("compat-api").join("target"));
        let hidden = "-Z unstable-options --document-hidden-items";
        Ok(list.env("RUSTDOCFLAGS", hidden).read()?)
    };
    let theirs = listing(copy)?;
    let ours = listing(context.metadata.workspace_root.join(PACKAGE))?;
    fail_on(&missing(&theirs, &ours))
}

/// The lines of a listing that another one lacks, without the modules that are left out.
fn missing(theirs: &str, ours: &str) -> Vec<String> {
    let ours: BTreeSet<&str> = ours.lines().collect();
    let is_left_out =
        |line: &str| LEFT_OUT.iter().any(|module| line.contains(&format!("::{module}")));
    let missing = theirs.lines().filter(|line| !ours.contains(line) && !is_left_out(line));
    missing.map(|line| format!("missing in 0.1.9: {line}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_with_another_signature_is_missing() {
        let theirs = "pub fn a::b(u8)\npub fn a::c()\npub mod a::plugin_http\n";
        assert_eq!(missing(theirs, "pub fn a::c()\npub fn a::b(u8)\npub fn a::d()"), [""; 0]);
        let other = missing(theirs, "pub fn a::b(u16)\npub fn a::c()\n");
        assert_eq!(other, ["missing in 0.1.9: pub fn a::b(u8)"]);
    }
}
