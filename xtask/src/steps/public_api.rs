//! `public-api`: what the libraries show to others is what is committed in `docs/public-api/`, and names
//! types of those crates only that may be named.
//!
//! A type of another crate in a signature ties our versions to its.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use super::tools::{self, CargoTool};
use crate::context::{Context, Failure, Outcome, output};

const TOOL: CargoTool = CargoTool { name: "cargo-public-api", version: "0.52.0" };

/// The committed listings, from the root.
const LISTINGS: &str = "docs/public-api";

/// Whose types may stand in signatures, besides the standard library's and our own.
const ALLOWED: &[&str] = &["serde_core", "serde_json", "time"];

/// Whose types may stand in one library's only: a payload passes without a copy, and whoever watches a
/// connection has a runtime to do it with. Both crates are at version 1, and so is what they promise.
const ALLOWED_IN: &[(&str, &[&str])] = &[("nexo-pairing-nats.txt", &["bytes", "tokio"])];

pub(crate) fn run(context: &Context) -> Outcome {
    tools::require_nightly(context)?;
    tools::ensure(context, &TOOL)?;
    let metadata = context.metadata()?;
    let found = metadata.target_directory.join("xtask").join("public-api");
    let target = found.join("target");
    let mut listings = BTreeMap::new();
    for member in metadata.published() {
        let listing = list(context, &member.name, &target.to_string_lossy())?;
        listings.insert(format!("{}.txt", member.name), listing);
    }
    let modules = listings.values().flat_map(|listing| modules(listing)).collect();
    let mut problems = Vec::new();
    for (name, listing) in &listings {
        let listing = with_public_paths(listing, &modules);
        let path = found.join(name);
        fs::write(&path, &listing)
            .map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
        let committed = fs::read_to_string(context.root().join(LISTINGS).join(name)).ok();
        if committed.as_ref() != Some(&listing) {
            problems.push(format!("{LISTINGS}/{name} is not what {} is", path.display()));
        }
        let own = ALLOWED_IN.iter().find(|(of, _)| of == name).map_or(&[][..], |(_, own)| own);
        let foreign = foreign(&listing).filter(|krate| !own.contains(&krate.as_str()));
        problems.extend(foreign.map(|krate| format!("{name} names types of {krate}")));
    }
    for file in fs::read_dir(context.root().join(LISTINGS)).into_iter().flatten().flatten() {
        let name = file.file_name().to_string_lossy().into_owned();
        if !listings.contains_key(&name) {
            problems.push(format!("{LISTINGS}/{name} is of no crate"));
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

/// The modules that a listing shows.
fn modules(listing: &str) -> impl Iterator<Item = String> {
    listing.lines().filter_map(|line| line.strip_prefix("pub mod ")).map(str::to_owned)
}

/// The listing with the paths of our own crates as their users write them: rustdoc names another crate's
/// type by the module that it is written in, which may be private.
fn with_public_paths(listing: &str, modules: &BTreeSet<String>) -> String {
    let mut public = String::new();
    let mut rest = listing;
    while let Some(at) = rest.find(is_of_path) {
        let (before, from) = rest.split_at(at);
        let (path, after) = from.split_at(from.find(|c| !is_of_path(c)).unwrap_or(from.len()));
        public.push_str(before);
        public.push_str(&public_path(path, modules));
        rest = after;
    }
    public + rest
}

/// A path without its private modules, if it is one of ours.
fn public_path(path: &str, modules: &BTreeSet<String>) -> String {
    let mut parts = path.split("::");
    let root = parts.next().unwrap_or_default();
    let mut public = root.to_owned();
    let mut is_module = is_ours(root);
    for part in parts {
        let next = format!("{public}::{part}");
        let is_lower = part.starts_with(|c: char| c.is_ascii_lowercase());
        is_module &= is_lower;
        let is_last = path.ends_with(&format!("::{part}"));
        if !is_module || is_last || modules.contains(&next) {
            public = next;
        }
    }
    public
}

fn is_of_path(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == ':'
}

fn is_ours(root: &str) -> bool {
    root == "nexo_pairing" || root.starts_with("nexo_pairing_")
}

/// The crates that a listing names and must not.
fn foreign(listing: &str) -> impl Iterator<Item = String> {
    let roots = listing.split(|c| !is_of_path(c)).filter_map(|word| Some(word.split_once("::")?.0));
    // `Self::Error` and `T::Output` are no paths of crates.
    let is_crate = |root: &str| root.starts_with(|c: char| c.is_ascii_lowercase());
    let foreign: BTreeSet<&str> = roots
        .filter(|root| is_crate(root) && !is_ours(root))
        .filter(|root| !["alloc", "core", "std"].contains(root) && !ALLOWED.contains(root))
        .collect();
    foreign.into_iter().map(str::to_owned).collect::<Vec<_>>().into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_crate_of_ours_shows_is_named_as_its_users_do() {
        let core = "pub mod nexo_pairing_core\npub mod nexo_pairing_core::setup_code\n";
        let modules: BTreeSet<String> = modules(core).collect();
        for (found, public) in [
            ("&nexo_pairing_core::id::SenderId,", "&nexo_pairing_core::SenderId,"),
            ("nexo_pairing_core::setup_code::error::E)", "nexo_pairing_core::setup_code::E)"),
            ("nexo_pairing_core::setup_code::decode", "nexo_pairing_core::setup_code::decode"),
            ("nexo_pairing_core::id::SenderId::parse", "nexo_pairing_core::SenderId::parse"),
            ("core::option::Option<time::date::Date>", "core::option::Option<time::date::Date>"),
        ] {
            assert_eq!(with_public_paths(found, &modules), public);
        }
    }

    #[test]
    fn crates_that_may_not_be_named_are_found_in_signatures() {
        let listing = "pub fn nexo_pairing_core::Clock::now(&self) -> time::OffsetDateTime\n\
                       pub type nexo_pairing_core::Id::Err = Self::Error\n\
                       pub fn nexo_pairing_core::Id::parse(&'a str) -> core::result::Result<Self, T::Err>\n";
        assert_eq!(foreign(listing).count(), 0);
        let more = format!("{listing}pub fn nexo_pairing::f(&[tokio::sync::Mutex<url::Url>])\n");
        assert_eq!(foreign(&more).collect::<Vec<_>>(), ["tokio", "url"]);
    }
}
