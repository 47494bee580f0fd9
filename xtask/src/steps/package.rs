//! `package`: every crate packs from a clean checkout, with what belongs in it and nothing else, and
//! builds from what was packed.

use crate::context::{self, Context, Failure, Outcome, output};
use crate::metadata::Member;

/// What every crate brings.
const NEEDED: [&str; 4] = ["Cargo.toml", "LICENSE-APACHE", "LICENSE-MIT", "README.md"];

/// What cargo adds.
const ADDED: [&str; 3] = ["Cargo.lock", "Cargo.toml.orig", ".cargo_vcs_info.json"];

/// The folders that may be in a crate.
const FOLDERS: [&str; 4] = ["src", "benches", "tests", "migrations"];

pub(crate) fn run(context: &Context) -> Outcome {
    let changed = output(context.command("git").args(["status", "--porcelain"]))?;
    if !changed.is_empty() {
        let changed = changed.trim_end();
        return Err(Failure::new(format!("what is not committed would be packed:\n{changed}")));
    }
    let metadata = context.metadata()?;
    let mut problems = Vec::new();
    for Member { name, .. } in metadata.published() {
        let what = ["package", "--list", "--locked", "--package", name];
        let files = output(&mut context.cargo(&what))?;
        problems.extend(wrong_files(&files).map(|problem| format!("{name}: {problem}")));
    }
    if !problems.is_empty() {
        return Err(Failure::list(&problems));
    }
    // In the order in which they are published: each is built with those that were packed before.
    let mut package = context.cargo(&["package", "--workspace", "--locked"]);
    for member in metadata.members.iter().filter(|member| !member.is_published) {
        package.args(["--exclude", &member.name]);
    }
    context::run(&mut package)
}

/// What is missing from a crate's files, and what has no place there.
fn wrong_files(listed: &str) -> impl Iterator<Item = String> {
    let files: Vec<&str> = listed.lines().collect();
    let missing = NEEDED.iter().filter(|&needed| !files.contains(needed));
    let missing: Vec<String> = missing.map(|needed| format!("{needed} is missing")).collect();
    let is_known = |file: &str| {
        NEEDED.contains(&file)
            || ADDED.contains(&file)
            || file.split_once('/').is_some_and(|(folder, _)| FOLDERS.contains(&folder))
    };
    let stray = files.into_iter().filter(|file| !is_known(file));
    missing
        .into_iter()
        .chain(stray.map(|file| format!("{file} has no place there")).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_has_its_licences_and_nothing_that_is_not_known() {
        let good = "Cargo.lock\nCargo.toml\nCargo.toml.orig\nLICENSE-APACHE\nLICENSE-MIT\nREADME.md\n\
                    src/lib.rs\nmigrations/V1__a.sql\n";
        assert_eq!(wrong_files(good).count(), 0);
        let bad = good.replace("LICENSE-MIT", "notes.txt").replace("src/", "target/");
        assert_eq!(
            wrong_files(&bad).collect::<Vec<_>>(),
            [
                "LICENSE-MIT is missing",
                "notes.txt has no place there",
                "target/lib.rs has no place there"
            ]
        );
    }
}
