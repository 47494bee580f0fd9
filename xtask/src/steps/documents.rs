//! The files of the checkout, and the documents among them: `README.md` and `docs/**/*.md`.

use std::collections::BTreeSet;

use cargo_metadata::camino::{Utf8Path, Utf8PathBuf};

use crate::context::{Context, Outcome};
use crate::markdown::Document;

/// A document, and where it is, from the root.
pub(crate) struct Page {
    pub(crate) path: Utf8PathBuf,
    pub(crate) text: String,
    pub(crate) document: Document,
}

impl Page {
    pub(crate) fn new(path: impl Into<Utf8PathBuf>, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { path: path.into(), document: Document::parse(&text), text }
    }

    /// The place at which a problem is reported.
    pub(crate) fn at(&self, line: usize) -> String {
        format!("{}:{line}", self.path)
    }
}

/// The files that git tracks or would add, from the root; without deleted files and without nested
/// checkouts.
pub(crate) fn files(context: &Context) -> Outcome<BTreeSet<Utf8PathBuf>> {
    let list = context.shell.cmd("git").args(["ls-files", "-z", "--cached", "--others"]);
    let listed = list.arg("--exclude-standard").quiet().read()?;
    let files = listed.split_terminator('\0').map(Utf8PathBuf::from);
    let root = &context.metadata.workspace_root;
    Ok(files.filter(|file| root.join(file).is_file()).collect())
}

/// The documents among these files: the README first, then the others by path.
pub(crate) fn pages(context: &Context, files: &BTreeSet<Utf8PathBuf>) -> Outcome<Vec<Page>> {
    let docs = files.iter().filter(|path| path.starts_with("docs"));
    let docs = docs.filter(|path| path.extension() == Some("md"));
    std::iter::once(Utf8Path::new("README.md"))
        .chain(docs.map(Utf8PathBuf::as_path))
        .map(|path| Ok(Page::new(path, context.shell.read_file(path)?)))
        .collect()
}
