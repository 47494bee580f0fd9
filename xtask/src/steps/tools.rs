//! `tools`: the programs that the tests call are there. What can be installed is installed, the
//! rest is named.

use crate::context::{self, Context, Failure, Outcome, output};

/// A subcommand of cargo that is installed from its package.
#[derive(Debug)]
pub(crate) struct CargoTool {
    /// `cargo-` and the subcommand.
    pub(crate) name: &'static str,
    /// What is installed where there is none, or an older one.
    pub(crate) version: &'static str,
}

const NEXTEST: CargoTool = CargoTool { name: "cargo-nextest", version: "0.9.143" };

pub(crate) fn run(context: &Context) -> Outcome {
    for (program, purpose) in [
        ("git", "it lists the files of the checkout"),
        ("sh", "it runs the commands in the documents"),
        ("unshare", "tests fill a disk of their own; on Debian the package util-linux"),
        ("cc", "it compiles SQLite; any C compiler, on Debian the package gcc"),
    ] {
        require(context, program, purpose)?;
    }
    ensure_packaged(context, "sqlite3", "the tests write to a database as another program would")?;
    ensure_packaged(context, "nats-server", "the tests of the bus talk to a real one")?;
    ensure(context, &NEXTEST)
}

/// Installs the tool unless it is there in this version or a newer one.
pub(crate) fn ensure(context: &Context, tool: &CargoTool) -> Outcome {
    let subcommand = tool.name.trim_start_matches("cargo-");
    let said = output(&mut context.cargo(&[subcommand, "--version"])).unwrap_or_default();
    if version(&said) >= version(tool.version) {
        println!("{}", said.lines().next().unwrap_or_default());
        return Ok(());
    }
    let what = ["install", "--locked", "--version", tool.version, tool.name];
    // Its build is none of the workspace's, and would only fill a shared target folder.
    let mut install = context.cargo(&what);
    context::run(install.env_remove("CARGO_TARGET_DIR"))
        .map_err(|failure| Failure::new(format!("{} is missing, and {failure}", tool.name)))
}

/// Fails unless there is a nightly compiler: what some checks need is in no other.
pub(crate) fn require_nightly(context: &Context) -> Outcome {
    let said = output(&mut context.cargo(&["+nightly", "--version"])).map_err(|_| {
        Failure::new(
            "there is no nightly compiler: rustup toolchain install nightly --profile minimal",
        )
    })?;
    println!("{}", said.trim_end());
    Ok(())
}

/// The first three numbers in `name 1.2.3 (details)` or `1.2.3`.
fn version(text: &str) -> Option<[u64; 3]> {
    text.split_whitespace().find_map(|word| {
        let mut parts = word.splitn(3, '.').map(str::parse);
        match (parts.next()?, parts.next()?, parts.next()?) {
            (Ok(major), Ok(minor), Ok(patch)) => Some([major, minor, patch]),
            _ => None,
        }
    })
}

fn require(context: &Context, program: &str, purpose: &str) -> Outcome {
    let found = "command -v \"$1\" >/dev/null";
    output(context.command("sh").args(["-c", found, "sh", program]))
        .map(|_| ())
        .map_err(|_| Failure::new(format!("the program {program} is missing: {purpose}")))
}

/// Installs a program from the Debian package of its name, unless it is there.
pub(crate) fn ensure_packaged(context: &Context, program: &str, purpose: &str) -> Outcome {
    let why = format!("{purpose}; on Debian it is the package {program}");
    if require(context, program, &why).is_ok() {
        let said = output(context.command(program).arg("--version"))?;
        println!("{program}: {}", said.lines().next().unwrap_or_default());
        return Ok(());
    }
    let is_root = output(context.command("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    if !is_root || require(context, "apt-get", "").is_err() {
        return Err(Failure::new(format!("the program {program} is missing: {why}")));
    }
    let apt = |arguments: &[&str]| {
        let mut command = context.command("apt-get");
        context::run(command.env("DEBIAN_FRONTEND", "noninteractive").args(arguments))
    };
    let install = ["install", "--yes", "--no-install-recommends", program];
    // Without a list of packages, or with an old one, the first try fails.
    apt(&install).or_else(|_| apt(&["update"]).and_then(|()| apt(&install))).map_err(
        |failure| Failure::new(format!("the program {program} is missing, and {failure}")),
    )?;
    require(context, program, &why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_versions_and_orders_them() {
        assert_eq!(version("cargo-nextest 0.9.143 (60fa45f63 2026-08-04)\n"), Some([0, 9, 143]));
        assert_eq!(version("0.20.2"), Some([0, 20, 2]));
        assert_eq!(version("nothing here"), None);
        assert_eq!(version("almost 1.2"), None);
        assert!(version("0.9.143") > version("0.9.99"));
        assert!(version("") < version("0.0.1"));
    }
}
