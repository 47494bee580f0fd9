//! `public-api`: the public API of each library is the one listed in `docs/public-api/`, and names types
//! of no other crates than the allowed ones.
//!
//! A type of another crate in a signature ties our versions to its.

use std::collections::{BTreeMap, BTreeSet};

use super::tools::{self, CargoTool};
use crate::context::{Context, Outcome, fail_on};

pub(super) const TOOL: CargoTool = CargoTool { name: "cargo-public-api", version: "0.52.0" };

/// The committed listings, from the root.
const LISTINGS: &str = "docs/public-api";

/// The crates whose types any signature may name, besides the standard library's and our own.
const ALLOWED: &[&str] = &["serde_core", "serde_json", "time"];

/// The crates whose types one library alone may name: payloads are passed without a copy, and watching a
/// connection needs a runtime. Both crates are stable, at version 1.
const ALLOWED_IN: &[(&str, &[&str])] = &[("nexo-pairing-nats.txt", &["bytes", "tokio"])];

pub(crate) fn run(context: &Context) -> Outcome {
    tools::require_nightly(context)?;
    tools::ensure(context, &TOOL)?;
    let found = context.work_folder("public-api");
    let mut listings = BTreeMap::new();
    for package in context.published() {
        // Without blanket, automatic and derived implementations, which follow from the rest.
        let list = context.cargo("+nightly public-api -sss --all-features --color never --package");
        let list = list.arg(package.name.as_str()).arg("--target-dir").arg(found.join("target"));
        listings.insert(format!("{}.txt", package.name), list.read()? + "\n");
    }
    let modules = listings.values().flat_map(|listing| modules(listing)).collect();
    let mut problems = Vec::new();
    for (name, listing) in &listings {
        let listing = with_public_paths(listing, &modules);
        let path = found.join(name);
        context.shell.write_file(&path, &listing)?;
        let committed = context.shell.read_file(format!("{LISTINGS}/{name}")).ok();
        if committed.as_ref() != Some(&listing) {
            problems.push(format!("{LISTINGS}/{name} differs from {path}"));
        }
        let own = ALLOWED_IN.iter().find(|(of, _)| of == name).map_or(&[][..], |(_, own)| own);
        let foreign = foreign(&listing).into_iter().filter(|name| !own.contains(name));
        problems.extend(foreign.map(|other| format!("{name} names types of {other}")));
    }
    for file in context.shell.read_dir(LISTINGS)? {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !listings.contains_key(&name) {
            problems.push(format!("{LISTINGS}/{name} is of no crate"));
        }
    }
    fail_on(&problems)
}

/// The public modules of a listing.
fn modules(listing: &str) -> impl Iterator<Item = String> {
    listing.lines().filter_map(|line| line.strip_prefix("pub mod ")).map(str::to_owned)
}

/// The listing with the public paths of our own crates: rustdoc names another crate's type by the module
/// that defines it, which may be private.
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
fn foreign(listing: &str) -> BTreeSet<&str> {
    let words = listing.split(|c| !is_of_path(c));
    let roots = words.filter_map(|word| Some(word.split_once("::")?.0));
    // `Self::Error` and `T::Output` are not paths of crates.
    let crates = roots.filter(|root| root.starts_with(|c: char| c.is_ascii_lowercase()));
    let is_allowed = |root: &&str| {
        is_ours(root) || ["alloc", "core", "std"].contains(root) || ALLOWED.contains(root)
    };
    crates.filter(|root| !is_allowed(root)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_of_our_other_crates_get_their_public_paths() {
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
    fn finds_crates_that_signatures_may_not_name() {
        let listing = "pub fn nexo_pairing_core::Clock::now(&self) -> time::OffsetDateTime\n\
                       pub type nexo_pairing_core::Id::Err = Self::Error\n\
                       pub fn nexo_pairing_core::Id::parse(&'a str) -> core::result::Result<Self, T::Err>\n";
        assert_eq!(foreign(listing), BTreeSet::new());
        let more = format!("{listing}pub fn nexo_pairing::f(&[tokio::sync::Mutex<url::Url>])\n");
        assert_eq!(foreign(&more), BTreeSet::from(["tokio", "url"]));
    }
}
