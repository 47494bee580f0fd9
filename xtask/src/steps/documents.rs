//! Which files the checkout has, and which of them are the documents: `README.md` and
//! `docs/**/*.md`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::context::{Context, Failure, Outcome, output};
use crate::markdown::Document;

/// A document and where it is, from the root.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
    pub(crate) document: Document,
}

impl Page {
    pub(crate) fn new(path: impl Into<PathBuf>, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { path: path.into(), document: Document::parse(&text), text }
    }

    /// The place that a problem is reported at.
    pub(crate) fn at(&self, line: usize) -> String {
        format!("{}:{line}", self.path.display())
    }
}

/// The files that git tracks or would add, from the root; not those that were deleted, and no
/// checkouts within the checkout.
pub(crate) fn files(context: &Context) -> Outcome<BTreeSet<PathBuf>> {
    let what = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let listed = output(context.command("git").args(what))?;
    let named = listed.split_terminator('\0').map(PathBuf::from);
    Ok(named.filter(|file| context.root().join(file).is_file()).collect())
}

/// The documents among these files: the README first, then the others by path.
pub(crate) fn pages(context: &Context, files: &BTreeSet<PathBuf>) -> Outcome<Vec<Page>> {
    let readme = Path::new("README.md");
    if !files.contains(readme) {
        return Err(Failure::new("there is no README.md"));
    }
    let is_markdown = |path: &&PathBuf| path.extension().is_some_and(|ending| ending == "md");
    let docs = files.iter().filter(|path| path.starts_with("docs")).filter(is_markdown);
    std::iter::once(readme)
        .chain(docs.map(PathBuf::as_path))
        .map(|path| {
            let text = std::fs::read_to_string(context.root().join(path));
            text.map(|text| Page::new(path, text))
                .map_err(|error| Failure::new(format!("{}: {error}", path.display())))
        })
        .collect()
}
