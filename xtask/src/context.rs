//! The checkout, and how a step runs a command in it.

use std::cell::RefCell;
use std::error::Error;
use std::path::Path;

use cargo_metadata::camino::Utf8PathBuf;
use cargo_metadata::{Metadata, MetadataCommand, Package};
use xshell::{Cmd, Shell};

/// What a step, or a part of one, returns.
pub(crate) type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// The checkout that the steps check.
pub(crate) struct Context {
    /// Its commands start in the root of the checkout, and its relative paths are from there.
    pub(crate) shell: Shell,
    pub(crate) metadata: Metadata,
    unchecked: RefCell<Vec<String>>,
}

impl Context {
    pub(crate) fn new() -> Outcome<Self> {
        let mut metadata = MetadataCommand::new();
        metadata.manifest_path(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"));
        let metadata = metadata.no_deps().other_options(["--locked".to_owned()]).exec()?;
        let shell = Shell::new()?;
        shell.change_dir(&metadata.workspace_root);
        Ok(Self { shell, metadata, unchecked: RefCell::default() })
    }

    /// `cargo` with these arguments, which are separated by spaces.
    pub(crate) fn cargo(&self, arguments: &str) -> Cmd<'_> {
        let cargo = self.shell.cmd("cargo").args(arguments.split(' '));
        own_package_variables().fold(cargo, Cmd::env_remove)
    }

    /// The packages of the workspace that go to a registry.
    pub(crate) fn published(&self) -> impl Iterator<Item = &Package> {
        self.metadata.workspace_packages().into_iter().filter(|package| is_published(package))
    }

    /// The folder in which a step keeps its files, below the target folder.
    pub(crate) fn work_folder(&self, step: &str) -> Utf8PathBuf {
        self.metadata.target_directory.join("xtask").join(step)
    }

    /// Reports what could not be checked on this machine, now and at the end of the run.
    pub(crate) fn not_checked(&self, what: &str) {
        println!("NOT checked: {what}");
        self.unchecked.borrow_mut().push(what.to_owned());
    }

    pub(crate) fn unchecked(&self) -> Vec<String> {
        self.unchecked.borrow().clone()
    }
}

pub(crate) fn is_published(package: &Package) -> bool {
    // `None` means any registry, an empty list none.
    package.publish.as_ref().is_none_or(|registries| !registries.is_empty())
}

/// The variables by which `cargo run` describes the package `xtask`. Build scripts that watch them
/// would run again after each call of cargo without `xtask`.
pub(crate) fn own_package_variables() -> impl Iterator<Item = String> {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    names.filter(|name| {
        ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"].iter().any(|start| name.starts_with(start))
    })
}

/// Fails with all problems at once, if there are any.
pub(crate) fn fail_on(problems: &[String]) -> Outcome {
    match problems {
        [] => Ok(()),
        [problem] => Err(problem.as_str().into()),
        _ => Err(format!("{} problems\n  {}", problems.len(), problems.join("\n  ")).into()),
    }
}
