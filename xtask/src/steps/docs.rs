//! `docs`: what can be checked of a document without running it.
//!
//! Relative links in `README.md` and `docs/**/*.md` lead to files of the checkout, and their
//! anchors to a heading there. Nothing names a folder of one person's machine or the number of an
//! issue. Decisions are numbered without gaps. The list of the configuration's keys is as they are
//! declared.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use crate::context::{Context, Failure, Outcome};

use super::documents::{self, Page};
use super::generated;

/// Top folders that hold people's homes and checkouts.
const PRIVATE_FOLDERS: [&str; 4] = ["home", "root", "Users", "work"];

pub(crate) fn run(context: &Context) -> Outcome {
    let files = documents::files(context)?;
    let pages = documents::pages(context, &files)?;
    let mut problems: Vec<String> = pages.iter().flat_map(wrong_text).collect();
    problems.extend(wrong_links(&files, &pages));
    problems.extend(wrong_numbers(&files));
    problems.extend(generated::outdated(context, &pages)?);
    if !problems.is_empty() {
        return Err(Failure::list(&problems));
    }
    let links: usize = pages.iter().map(|page| page.document.links().len()).sum();
    println!("{} documents, {links} links", pages.len());
    Ok(())
}

/// Folders of one machine, and issue numbers.
fn wrong_text(page: &Page) -> Vec<String> {
    let mut problems = Vec::new();
    for (index, line) in page.text.lines().enumerate() {
        if let Some(folder) = private_folder(line) {
            problems.push(format!("{}: a folder under {folder}", page.at(index + 1)));
        }
        if let Some(link) =
            ["/issues/", "/pull/", "GH-"].iter().find(|&&mark| followed_by_digit(line, mark))
        {
            problems.push(format!("{}: an issue number behind {link}", page.at(index + 1)));
        }
    }
    for (index, line) in page.document.prose().lines().enumerate() {
        if let Some(number) = issue_number(line) {
            problems.push(format!("{}: the issue number {number}", page.at(index + 1)));
        }
    }
    problems
}

/// A path that starts with one of [`PRIVATE_FOLDERS`], not one that has it further inside.
fn private_folder(line: &str) -> Option<String> {
    let starts = |at: usize| {
        let before = line[..at].chars().next_back();
        before.is_none_or(|c| c.is_whitespace() || "\"'`([<>=:|,".contains(c))
    };
    PRIVATE_FOLDERS
        .iter()
        .map(|name| format!("/{name}/"))
        .find(|folder| line.match_indices(folder.as_str()).any(|(at, _)| starts(at)))
}

fn followed_by_digit(line: &str, mark: &str) -> bool {
    line.match_indices(mark)
        .any(|(at, _)| line[at + mark.len()..].starts_with(|c: char| c.is_ascii_digit()))
}

/// `#` and digits that are a word of their own, and no anchor.
fn issue_number(line: &str) -> Option<&str> {
    line.match_indices('#').find_map(|(at, _)| {
        let before = line[..at].chars().next_back();
        let length = line[at + 1..].bytes().take_while(u8::is_ascii_digit).count();
        let end = at + 1 + length;
        let after = line[end..].chars().next();
        let own_word = before.is_none_or(|c| c.is_whitespace() || "([,;:\"'".contains(c))
            && !line[..at].ends_with("](")
            && after.is_none_or(|c| !(c.is_alphanumeric() || c == '-' || c == '_'));
        (length > 0 && own_word).then(|| &line[at..end])
    })
}

fn wrong_links(files: &BTreeSet<PathBuf>, pages: &[Page]) -> Vec<String> {
    let folders: BTreeSet<&Path> = files.iter().flat_map(|file| file.ancestors().skip(1)).collect();
    let anchors: BTreeMap<&Path, BTreeSet<String>> =
        pages.iter().map(|page| (page.path.as_path(), page.document.anchors())).collect();
    let problem = |page: &Page, target: &str| {
        let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
        let path = match resolve(&page.path, path) {
            Some(path) => path,
            None => return Some("leads out of the checkout"),
        };
        if !files.contains(&path) && !folders.contains(path.as_path()) {
            return Some("leads to no file of the checkout");
        }
        match anchors.get(path.as_path()) {
            Some(known) if !anchor.is_empty() && !known.contains(anchor) => {
                Some("names no heading of that document")
            }
            _ => None,
        }
    };
    let mut problems = Vec::new();
    for page in pages {
        for link in page.document.links() {
            if let Some(problem) =
                is_relative(&link.target).then(|| problem(page, &link.target)).flatten()
            {
                problems.push(format!("{}: {} {problem}", page.at(link.line), link.target));
            }
        }
    }
    problems
}

/// Whether a link has no scheme, such as `https:` or `mailto:`.
fn is_relative(target: &str) -> bool {
    let scheme = target.split(['/', '?', '#']).next().unwrap_or_default();
    !(scheme.contains(':') || target.starts_with("//"))
}

/// The file from the root that a path in a document means; an absolute path means nothing there.
fn resolve(document: &Path, path: &str) -> Option<PathBuf> {
    if path.is_empty() {
        return Some(document.to_path_buf());
    }
    let mut resolved = document.parent().unwrap_or(Path::new("")).to_path_buf();
    for part in Path::new(path).components() {
        match part {
            Component::Normal(name) => resolved.push(name),
            Component::CurDir => {}
            Component::ParentDir => {
                if !resolved.pop() {
                    return None;
                }
            }
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(resolved)
}

/// Decisions are `docs/decisions/NNN-*.md`, from 001 without gaps. A `README.md` beside them is no
/// decision.
fn wrong_numbers(files: &BTreeSet<PathBuf>) -> Vec<String> {
    let mut problems = Vec::new();
    let mut next = 1;
    for file in files.iter().filter(|file| file.parent() == Some(Path::new("docs/decisions"))) {
        let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name == "README.md" {
            continue;
        }
        let expected = format!("{next:03}-");
        if !(name.starts_with(&expected) && name.ends_with(".md")) {
            problems.push(format!("{}: the next decision is {expected}….md", file.display()));
        }
        next += 1;
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(names: &[&str]) -> BTreeSet<PathBuf> {
        names.iter().map(PathBuf::from).collect()
    }

    #[test]
    fn links_lead_to_files_folders_and_headings() {
        let files = files(&["README.md", "docs/a.md", "docs/examples/in.jsonl", "LICENSE"]);
        let good = "[a](docs/a.md#one) [b](docs/examples) [c](docs/examples/) [d](LICENSE) \
                    [e](#top) [f](https://example.com/x) [g](mailto:a@b.c)\n# Top\n";
        let pages = [
            Page::new("README.md", good),
            Page::new(
                "docs/a.md",
                "# One\n[up](../README.md#top) [self](a.md#one) [x](./examples)",
            ),
        ];
        assert_eq!(wrong_links(&files, &pages), Vec::<String>::new());
    }

    #[test]
    fn links_that_lead_nowhere_are_named_with_their_place() {
        let files = files(&["README.md", "docs/a.md"]);
        let pages = [
            Page::new(
                "README.md",
                "\n[a](docs/b.md) [b](docs/a.md#two)\n[c](#no)\n[d](/docs/a.md)",
            ),
            Page::new("docs/a.md", "# One\n[up](../../other/x.md)"),
        ];
        assert_eq!(
            wrong_links(&files, &pages),
            [
                "README.md:2: docs/b.md leads to no file of the checkout",
                "README.md:2: docs/a.md#two names no heading of that document",
                "README.md:3: #no names no heading of that document",
                "README.md:4: /docs/a.md leads out of the checkout",
                "docs/a.md:2: ../../other/x.md leads out of the checkout",
            ]
        );
    }

    #[test]
    fn private_folders_are_found_in_prose_and_code_but_not_inside_other_paths() {
        for name in PRIVATE_FOLDERS {
            for text in ["see /_/x", "`/_/x`", "```sh\ncat /_/x\n```", "path=/_/x", "a:/_/b"] {
                let text = text.replace('_', name);
                assert_eq!(wrong_text(&Page::new("a.md", text.as_str())).len(), 1, "{text}");
            }
            for text in ["~/_/x", "docs/_/x", "$NEXO_HOME/_/x", "https://a.example/_/x", "/var/_/x"]
            {
                let text = text.replace('_', name);
                assert_eq!(wrong_text(&Page::new("a.md", text.as_str())).len(), 0, "{text}");
            }
        }
    }

    #[test]
    fn issue_numbers_are_found_and_anchors_are_none() {
        for text in ["fixed in #12.", "(#7)", "#3", "https://a.example/b/issues/4", "GH-5"] {
            assert_eq!(wrong_text(&Page::new("a.md", text)).len(), 1, "{text}");
        }
        for text in
            ["[a](#4-rules)", "[a](#4)", "[a](b.md#4)", "`#12`", "# 1", "&#39;", "#1a", "C#"]
        {
            assert_eq!(wrong_text(&Page::new("a.md", text)).len(), 0, "{text}");
        }
    }

    #[test]
    fn decisions_are_numbered_without_gaps() {
        let decisions = |names: &[&str]| {
            names.iter().map(|name| Path::new("docs/decisions").join(name)).collect()
        };
        let good = decisions(&["001-a.md", "002-b.md", "README.md"]);
        assert_eq!(wrong_numbers(&good), Vec::<String>::new());
        assert_eq!(wrong_numbers(&BTreeSet::new()), Vec::<String>::new());
        assert_eq!(wrong_numbers(&decisions(&["001-a.md", "003-c.md"])).len(), 1);
        assert_eq!(wrong_numbers(&decisions(&["001-a.md", "001-b.md"])).len(), 1);
        assert_eq!(wrong_numbers(&decisions(&["a.md"])).len(), 1);
    }
}
