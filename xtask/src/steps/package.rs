//! `package`: every crate packs from a clean checkout, with the files that belong in it and no
//! others, and builds from what was packed.

use crate::context::{Context, Outcome, fail_on, is_published};

/// The files that every crate has.
const NEEDED: [&str; 4] = ["Cargo.toml", "LICENSE-APACHE", "LICENSE-MIT", "README.md"];

/// The files that cargo adds.
const ADDED: [&str; 3] = ["Cargo.lock", "Cargo.toml.orig", ".cargo_vcs_info.json"];

/// The folders that a crate may have.
const FOLDERS: [&str; 5] = ["src", "benches", "examples", "tests", "migrations"];

pub(crate) fn run(context: &Context) -> Outcome {
    let changed = context.shell.cmd("git").args(["status", "--porcelain"]).read()?;
    if !changed.is_empty() {
        return Err(format!("uncommitted changes would be packed:\n{changed}").into());
    }
    let mut problems = Vec::new();
    for package in context.published() {
        let name = package.name.as_str();
        let files = context.cargo("package --list --locked --package").arg(name).read()?;
        problems.extend(wrong_files(&files).iter().map(|problem| format!("{name}: {problem}")));
    }
    fail_on(&problems)?;
    // Cargo packs in the order of publication: each crate is built against the packed ones before it.
    let packages = context.metadata.workspace_packages();
    let unpublished = packages.into_iter().filter(|package| !is_published(package));
    let excluded = unpublished.flat_map(|package| ["--exclude", package.name.as_str()]);
    Ok(context.cargo("package --workspace --locked").args(excluded).run()?)
}

/// The files that a crate lacks, and those that do not belong in it.
fn wrong_files(listed: &str) -> Vec<String> {
    let files: Vec<&str> = listed.lines().collect();
    let is_known = |file: &str| {
        let folder = file.split_once('/').map(|(folder, _)| folder);
        NEEDED.contains(&file)
            || ADDED.contains(&file)
            || folder.is_some_and(|folder| FOLDERS.contains(&folder))
    };
    let missing = NEEDED.iter().filter(|needed| !files.contains(needed));
    let stray = files.iter().filter(|file| !is_known(file));
    let missing = missing.map(|file| format!("{file} is missing"));
    missing.chain(stray.map(|file| format!("{file} does not belong in it"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_has_its_licences_and_only_known_files() {
        let good = "Cargo.lock\nCargo.toml\nCargo.toml.orig\nLICENSE-APACHE\nLICENSE-MIT\nREADME.md\n\
                    src/lib.rs\nmigrations/V1__a.sql\n";
        assert_eq!(wrong_files(good), Vec::<String>::new());
        let bad = good.replace("LICENSE-MIT", "notes.txt").replace("src/", "target/");
        assert_eq!(
            wrong_files(&bad),
            [
                "LICENSE-MIT is missing",
                "notes.txt does not belong in it",
                "target/lib.rs does not belong in it"
            ]
        );
    }
}
