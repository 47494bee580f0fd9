//! `docs`: what can be checked of the documents without running their commands.
//!
//! Relative links in `README.md` and `docs/**/*.md` lead to files of the checkout, and their anchors to
//! a heading there. No text has a folder of one person's machine or an issue number. Decisions are
//! numbered without gaps. The tests that the threat model names exist. The reference of the
//! configuration keys is as generated.

use std::collections::BTreeSet;

use cargo_metadata::camino::{Utf8Component, Utf8Path, Utf8PathBuf};
use regex::Regex;

use super::documents::{self, Page};
use super::reference;
use crate::context::{Context, Outcome, fail_on};

/// Folders of one person's machine: homes and checkouts.
const PRIVATE_FOLDER: &str = "(?:^|[[:space:]\"'`(\\[<>=:|,.])(/(?:home|root|Users|work)/)";

/// Links to issues, in text and code.
const ISSUE_LINK: &str = "((?:/issues/|/pull/|GH-)[0-9])";

/// Issue numbers, in text.
const ISSUE: &str = "(?:^|[[:space:](\\[,;:\"'])(#[0-9]+)(?:$|[^[:word:]-])";

/// HTML attributes with links and anchors, which these checks do not follow.
const HTML_LINK: &str = "[[:space:]](href|src|id|name)=";

/// The document that names the test of each bound, and what the name of a test looks like.
const THREAT_MODEL: &str = "docs/threat-model.md";
const TEST: &str = "^[a-z0-9]+(_[a-z0-9]+){4,}$";

pub(crate) fn run(context: &Context) -> Outcome {
    let files = documents::files(context)?;
    let pages = documents::pages(context, &files)?;
    let mut problems = wrong_text(&pages)?;
    problems.extend(wrong_links(&files, &pages));
    problems.extend(wrong_numbers(&files));
    let sources = files.iter().filter(|file| file.extension() == Some("rs"));
    let sources: String =
        sources.map(|file| context.shell.read_file(file)).collect::<Result<_, _>>()?;
    problems.extend(missing_tests(&pages, &sources)?);
    problems.extend(reference::outdated(context, &pages)?);
    fail_on(&problems)?;
    let links: usize = pages.iter().map(|page| page.document.links.len()).sum();
    println!("{} documents, {links} links", pages.len());
    Ok(())
}

/// Folders of one machine, issue numbers, and links in HTML.
fn wrong_text(pages: &[Page]) -> Outcome<Vec<String>> {
    let (folder, link) = (Regex::new(PRIVATE_FOLDER)?, Regex::new(ISSUE_LINK)?);
    let (issue, html) = (Regex::new(ISSUE)?, Regex::new(HTML_LINK)?);
    let mut problems = Vec::new();
    for page in pages {
        let mut check = |pattern: &Regex, line: usize, text: &str, what: &str| {
            let found = pattern.captures(text).map(|found| found[1].to_owned());
            problems.extend(found.map(|found| format!("{}: {what}: {found}", page.at(line))));
        };
        for (index, line) in page.text.lines().enumerate() {
            check(&folder, index + 1, line, "a folder of one machine");
            check(&link, index + 1, line, "a link to an issue");
        }
        for (line, text) in &page.document.prose {
            check(&issue, *line, text, "an issue number");
        }
        for (line, text) in &page.document.html {
            check(&html, *line, text, "a link or an anchor in HTML, which is not checked");
        }
    }
    Ok(problems)
}

fn wrong_links(files: &BTreeSet<Utf8PathBuf>, pages: &[Page]) -> Vec<String> {
    let is_there = |path: &Utf8Path| {
        files.contains(path) || path == "" || files.iter().any(|file| file.starts_with(path))
    };
    let problem = |page: &Page, target: &str| {
        let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
        let Some(path) = resolve(&page.path, path) else {
            return Some("leads out of the checkout");
        };
        if !is_there(&path) {
            return Some("leads to no file of the checkout");
        }
        let page = pages.iter().find(|page| page.path == path)?;
        let is_missing = !anchor.is_empty() && !page.document.anchors.contains(anchor);
        is_missing.then_some("names no heading of that document")
    };
    let mut problems = Vec::new();
    for page in pages {
        for (line, target) in page.document.links.iter().filter(|(_, target)| is_relative(target)) {
            let problem = problem(page, target);
            problems.extend(problem.map(|what| format!("{}: {target} {what}", page.at(*line))));
        }
    }
    problems
}

/// Whether a link has no scheme, such as `https:` or `mailto:`.
fn is_relative(target: &str) -> bool {
    let scheme = target.split(['/', '?', '#']).next().unwrap_or_default();
    !(scheme.contains(':') || target.starts_with("//"))
}

/// The file that a path in a document means, from the root; `None` for one outside, or an absolute one.
fn resolve(document: &Utf8Path, path: &str) -> Option<Utf8PathBuf> {
    if path.is_empty() {
        return Some(document.to_owned());
    }
    let mut resolved = document.parent()?.to_owned();
    for part in Utf8Path::new(path).components() {
        match part {
            Utf8Component::Normal(name) => resolved.push(name),
            Utf8Component::ParentDir if resolved.pop() => {}
            Utf8Component::CurDir => {}
            _ => return None,
        }
    }
    Some(resolved)
}

/// Decisions are `docs/decisions/NNN-*.md`, from 001 without gaps, and perhaps a `README.md`.
fn wrong_numbers(files: &BTreeSet<Utf8PathBuf>) -> Vec<String> {
    let folder = Utf8Path::new("docs/decisions");
    let decisions = files.iter().filter(|file| file.parent() == Some(folder));
    let decisions = decisions.filter(|file| file.file_name() != Some("README.md"));
    let mut problems = Vec::new();
    for (file, number) in decisions.zip(1..) {
        let expected = format!("{number:03}-");
        let name = file.file_name().unwrap_or_default();
        if !(name.starts_with(&expected) && name.ends_with(".md")) {
            problems.push(format!("{file}: the next decision is {expected}….md"));
        }
    }
    problems
}

/// The tests that the threat model names and that are not in the sources.
fn missing_tests(pages: &[Page], sources: &str) -> Outcome<Vec<String>> {
    let test = Regex::new(TEST)?;
    let mut problems = Vec::new();
    for page in pages.iter().filter(|page| page.path == THREAT_MODEL) {
        let named = page.document.code.iter().filter(|(_, code)| test.is_match(code));
        let is_there =
            |name| ["(", "<"].iter().any(|end| sources.contains(&format!("fn {name}{end}")));
        let missing = named.filter(|(_, name)| !is_there(name));
        problems.extend(missing.map(|(line, name)| format!("{}: no test {name}", page.at(*line))));
    }
    Ok(problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(names: &[&str]) -> BTreeSet<Utf8PathBuf> {
        names.iter().map(Utf8PathBuf::from).collect()
    }

    fn problems_of(text: &str) -> usize {
        wrong_text(&[Page::new("a.md", text)]).unwrap().len()
    }

    #[test]
    fn links_lead_to_files_folders_and_headings() {
        let files = files(&["README.md", "docs/a.md", "docs/examples/in.jsonl", "LICENSE"]);
        let good = "[a](docs/a.md#one) [b](docs/examples) [c](docs/examples/) [d](LICENSE) \
                    [e](#top) [f](https://example.com/x) [g](mailto:a@b.c)\n# Top\n";
        let other = "# One\n[up](../README.md#top) [self](a.md#one) [x](./examples) [y](..)";
        let pages = [Page::new("README.md", good), Page::new("docs/a.md", other)];
        assert_eq!(wrong_links(&files, &pages), Vec::<String>::new());
    }

    #[test]
    fn broken_links_are_reported_with_their_place() {
        let files = files(&["README.md", "docs/a.md"]);
        let text = "\n[a](docs/b.md) [b](docs/a.md#two)\n[c](#no)\n[d](/docs/a.md)";
        let other = "# One\n[up](../../other/x.md)";
        let pages = [Page::new("README.md", text), Page::new("docs/a.md", other)];
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
    fn private_folders_are_found_in_text_and_code_but_not_inside_other_paths() {
        for name in ["home", "root", "Users", "work"] {
            for text in ["see /_/x", "`/_/x`", "```sh\ncat /_/x\n```", "path=/_/x", "a:/_/b"] {
                let text = text.replace('_', name);
                assert_eq!(problems_of(&text), 1, "{text}");
            }
            for text in ["~/_/x", "docs/_/x", "$NEXO_HOME/_/x", "https://a.example/_/x", "/var/_/x"]
            {
                let text = text.replace('_', name);
                assert_eq!(problems_of(&text), 0, "{text}");
            }
        }
    }

    #[test]
    fn issue_numbers_are_found_and_anchors_are_not() {
        for text in ["fixed in #12.", "(#7)", "#3", "https://a.example/b/issues/4", "GH-5"] {
            assert_eq!(problems_of(text), 1, "{text}");
        }
        for text in
            ["[a](#4-rules)", "[a](#4)", "[a](b.md#4)", "`#12`", "# 1", "&#39;", "#1a", "C#"]
        {
            assert_eq!(problems_of(text), 0, "{text}");
        }
    }

    #[test]
    fn links_in_html_are_rejected_because_nothing_follows_them() {
        assert_eq!(problems_of("<a href=\"x.md\">x</a>\n"), 1);
        assert_eq!(problems_of("a <img src=\"x.png\"> b\n"), 1);
        assert_eq!(problems_of("<!-- begin reference -->\n<br>\n"), 0);
    }

    #[test]
    fn tests_named_in_the_threat_model_exist() {
        let text = "| `a_cap_of_three_holds` | `pairing_audit` |\n\n`a_cap_of_two_holds`";
        let pages = [Page::new(THREAT_MODEL, text), Page::new("a.md", "`a_cap_of_one_holds`")];
        let problems = missing_tests(&pages, "fn a_cap_of_three_holds() {}").unwrap();
        assert_eq!(problems, ["docs/threat-model.md:3: no test a_cap_of_two_holds"]);
    }

    #[test]
    fn decisions_are_numbered_without_gaps() {
        let decisions = |names: &[&str]| {
            names.iter().map(|name| Utf8Path::new("docs/decisions").join(name)).collect()
        };
        let good = decisions(&["001-a.md", "002-b.md", "README.md"]);
        assert_eq!(wrong_numbers(&good), Vec::<String>::new());
        assert_eq!(wrong_numbers(&BTreeSet::new()), Vec::<String>::new());
        assert_eq!(wrong_numbers(&decisions(&["001-a.md", "003-c.md"])).len(), 1);
        assert_eq!(wrong_numbers(&decisions(&["001-a.md", "001-b.md"])).len(), 1);
        assert_eq!(wrong_numbers(&decisions(&["a.md"])).len(), 1);
    }
}
