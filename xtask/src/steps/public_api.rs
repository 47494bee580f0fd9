//! `public-api`: what the libraries show to others is what is committed in `docs/public-api/`, and names
//! types of those crates only that may be named.
//!
//! A type of another crate in a signature ties our versions to its.

use std::collections::BTreeSet;
use std::fs;

use super::tools::{self, CargoTool};
use crate::context::{Context, Failure, Outcome, output};

const TOOL: CargoTool = CargoTool { name: "cargo-public-api", version: "0.52.0" };

/// The committed listings, from the root.
const LISTINGS: &str = "docs/public-api";

/// Whose types may stand in signatures, besides the standard library's and our own.
const ALLOWED: &[&str] = &["serde_core", "serde_json", "time"];

pub(crate) fn run(context: &Context) -> Outcome {
    tools::require_nightly(context)?;
    tools::ensure(context, &TOOL)?;
    let metadata = context.metadata()?;
    let found = metadata.target_directory.join("xtask").join("public-api");
    let io = |error| Failure::new(format!("{}: {error}", found.display()));
    fs::create_dir_all(&found).map_err(io)?;
    let mut problems = Vec::new();
    let mut expected = BTreeSet::new();
    for member in metadata.published() {
        let name = format!("{}.txt", member.name);
        let listing = list(context, &member.name, &found.join("target").to_string_lossy())?;
        fs::write(found.join(&name), &listing).map_err(io)?;
        let committed = context.root().join(LISTINGS).join(&name);
        if fs::read_to_string(committed).ok().as_ref() != Some(&listing) {
            problems.push(format!("{LISTINGS}/{name} is not {}", found.join(&name).display()));
        }
        problems.extend(foreign(&listing).map(|krate| format!("{}: {krate}", member.name)));
        expected.insert(name);
    }
    let committed = fs::read_dir(context.root().join(LISTINGS)).map_err(io)?;
    for file in committed.flatten().map(|entry| entry.file_name()) {
        if !expected.contains(&*file.to_string_lossy()) {
            problems.push(format!("{LISTINGS}/{} is of no crate", file.display()));
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(Failure::list(&problems)) }
}

/// What a library shows, without what follows from it: blanket, automatic and derived implementations.
fn list(context: &Context, package: &str, target: &str) -> Outcome<String> {
    let mut command = context.cargo(&["+nightly", "public-api", "-sss", "--all-features"]);
    command.args(["--color", "never", "--package", package, "--target-dir", target]);
    output(&mut command)
}

/// The crates that a listing names and must not.
fn foreign(listing: &str) -> impl Iterator<Item = String> {
    let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let roots = listing.split(|c| !is_path(c)).filter_map(|word| Some(word.split_once("::")?.0));
    let is_ours = |root: &str| root == "nexo_pairing" || root.starts_with("nexo_pairing_");
    // `Self::Error` and `T::Output` are no paths of crates.
    let is_crate = |root: &str| root.starts_with(|c: char| c.is_ascii_lowercase());
    let foreign: BTreeSet<&str> = roots
        .filter(|root| is_crate(root) && !is_ours(root))
        .filter(|root| !["alloc", "core", "std"].contains(root) && !ALLOWED.contains(root))
        .collect();
    foreign.into_iter().map(|root| format!("types of {root}")).collect::<Vec<_>>().into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crates_that_may_not_be_named_are_found_in_signatures() {
        let listing = "pub fn nexo_pairing_core::Clock::now(&self) -> time::OffsetDateTime\n\
                       pub type nexo_pairing_core::Id::Err = Self::Error\n\
                       pub fn nexo_pairing_core::Id::parse(&'a str) -> core::result::Result<Self, T::Err>\n";
        assert_eq!(foreign(listing).count(), 0);
        let more = format!("{listing}pub fn nexo_pairing::f(&[tokio::sync::Mutex<url::Url>])\n");
        assert_eq!(foreign(&more).collect::<Vec<_>>(), ["types of tokio", "types of url"]);
    }
}
