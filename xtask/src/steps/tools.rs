//! `tools`: the programs that the tests call are installed. Those that can be installed here are,
//! the others are reported.

use crate::context::{Context, Outcome};

/// A subcommand of cargo that is installed from its package.
pub(crate) struct CargoTool {
    /// `cargo-` and the subcommand.
    pub(crate) name: &'static str,
    /// The version to install if the tool is absent or older.
    pub(crate) version: &'static str,
}

const NEXTEST: CargoTool = CargoTool { name: "cargo-nextest", version: "0.9.143" };

pub(crate) fn run(context: &Context) -> Outcome {
    for (program, purpose) in [
        ("git", "it lists the files of the checkout"),
        ("sh", "it runs the commands in the documents"),
        ("timeout", "it ends commands that hang; on Debian it is in the package coreutils"),
        ("unshare", "tests fill a disk of their own; on Debian it is in the package util-linux"),
        ("cc", "it compiles SQLite; any C compiler will do, on Debian the package gcc"),
    ] {
        require(context, program, purpose)?;
    }
    ensure_packaged(context, "sqlite3", "the tests write to a database as another program would")?;
    ensure_packaged(context, "nats-server", "the tests of the bus talk to a real one")?;
    ensure(context, &NEXTEST)
}

/// Installs the tool unless this version or a newer one is installed.
pub(crate) fn ensure(context: &Context, &CargoTool { name, version }: &CargoTool) -> Outcome {
    let subcommand = name.trim_start_matches("cargo-");
    let ask = context.cargo(&format!("{subcommand} --version")).quiet().ignore_stderr();
    let installed = ask.read().unwrap_or_default();
    if numbers(&installed) >= numbers(version) {
        println!("{}", installed.lines().next().unwrap_or_default());
        return Ok(());
    }
    // Its build has nothing in common with the workspace's.
    let install = context.cargo(&format!("install --locked --version {version} {name}"));
    let installed = install.env_remove("CARGO_TARGET_DIR").run();
    installed.map_err(|error| format!("{name} is missing, and {error}").into())
}

/// Fails unless there is a nightly compiler, which some checks need.
pub(crate) fn require_nightly(context: &Context) -> Outcome {
    let version = context.cargo("+nightly --version").quiet().ignore_stderr().read();
    let install = "rustup toolchain install nightly --profile minimal";
    println!("{}", version.map_err(|_| format!("there is no nightly compiler: {install}"))?);
    Ok(())
}

/// The first three numbers in `name 1.2.3 (details)` or `1.2.3`.
fn numbers(text: &str) -> Option<[u64; 3]> {
    text.split_whitespace().find_map(|word| {
        let mut parts = word.splitn(3, '.').map(str::parse);
        match (parts.next()?, parts.next()?, parts.next()?) {
            (Ok(major), Ok(minor), Ok(patch)) => Some([major, minor, patch]),
            _ => None,
        }
    })
}

fn require(context: &Context, program: &str, purpose: &str) -> Outcome {
    let search = context.shell.cmd("sh").args(["-c", "command -v \"$1\"", "sh", program]).quiet();
    match search.ignore_stderr().read() {
        Ok(_) => Ok(()),
        Err(_) => Err(format!("the program {program} is missing: {purpose}").into()),
    }
}

/// Installs a program from the Debian package of its name, unless it is there.
pub(crate) fn ensure_packaged(context: &Context, program: &str, purpose: &str) -> Outcome {
    let shell = &context.shell;
    let why = format!("{purpose}; on Debian it is in the package {program}");
    if require(context, program, &why).is_ok() {
        let version = shell.cmd(program).arg("--version").quiet().read()?;
        println!("{program}: {}", version.lines().next().unwrap_or_default());
        return Ok(());
    }
    let is_root = shell.cmd("id").arg("-u").quiet().read()? == "0";
    if !is_root || require(context, "apt-get", "").is_err() {
        return Err(format!("the program {program} is missing: {why}").into());
    }
    let apt = |arguments: &[&str]| {
        shell.cmd("apt-get").env("DEBIAN_FRONTEND", "noninteractive").args(arguments).run()
    };
    let install = ["install", "--yes", "--no-install-recommends", program];
    // The first attempt fails without a list of packages, or with an old one.
    apt(&install).or_else(|_| apt(&["update"]).and_then(|()| apt(&install)))?;
    require(context, program, &why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_and_ordered() {
        assert_eq!(numbers("cargo-nextest 0.9.143 (60fa45f63 2026-08-04)\n"), Some([0, 9, 143]));
        assert_eq!(numbers("0.20.2"), Some([0, 20, 2]));
        assert_eq!(numbers("nothing here"), None);
        assert_eq!(numbers("almost 1.2"), None);
        assert!(numbers("0.9.143") > numbers("0.9.99"));
        assert!(numbers("") < numbers("0.0.1"));
    }
}
