//! The parts of a Markdown document that the checks need: blocks of code, links, anchors, and the text
//! outside code.

use std::collections::{BTreeSet, HashMap};

use pulldown_cmark::{CodeBlockKind, Event, LinkType, Options, Parser, Tag, TagEnd};

/// A block of code.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Block {
    /// The line on which it begins, from 1.
    pub(crate) line: usize,
    /// The text behind the opening fence, such as `sh`; empty for indented code.
    pub(crate) info: String,
    /// Its content, every line with its line end.
    pub(crate) text: String,
}

/// A piece of text and the line on which it begins, from 1.
pub(crate) type Located = (usize, String);

/// A parsed document.
#[derive(Debug, Default)]
pub(crate) struct Document {
    pub(crate) blocks: Vec<Block>,
    /// The targets of links and pictures.
    pub(crate) links: Vec<Located>,
    /// The text outside code, in pieces.
    pub(crate) prose: Vec<Located>,
    /// The code within text.
    pub(crate) code: Vec<Located>,
    /// The HTML tags, which may hold links that are not among [`Self::links`].
    pub(crate) html: Vec<Located>,
    /// What `#…` in a link may name: the slugs that GitHub makes of the headings.
    pub(crate) anchors: BTreeSet<String>,
}

impl Document {
    pub(crate) fn parse(markdown: &str) -> Self {
        let line = |at: usize| markdown[..at].matches('\n').count() + 1;
        let parser = Parser::new_ext(markdown, Options::ENABLE_TABLES | Options::ENABLE_FOOTNOTES);
        let mut document = Self::default();
        // Every definition is checked, also one that nothing refers to.
        for (_, definition) in parser.reference_definitions().iter() {
            document.links.push((line(definition.span.start), definition.dest.to_string()));
        }
        let (mut is_in_block, mut heading, mut slugs) = (false, None, HashMap::new());
        for (event, range) in parser.into_offset_iter() {
            let line = line(range.start);
            match event {
                Event::Start(Tag::CodeBlock(kind)) => {
                    is_in_block = true;
                    let info = match kind {
                        CodeBlockKind::Fenced(info) => info.to_string(),
                        CodeBlockKind::Indented => String::new(),
                    };
                    document.blocks.push(Block { line, info, text: String::new() });
                }
                Event::End(TagEnd::CodeBlock) => is_in_block = false,
                Event::Text(text) if is_in_block => {
                    if let Some(block) = document.blocks.last_mut() {
                        block.text.push_str(&text);
                    }
                }
                Event::Start(
                    Tag::Link { link_type, dest_url, .. } | Tag::Image { link_type, dest_url, .. },
                ) if link_type != LinkType::Email => {
                    document.links.push((line, dest_url.to_string()));
                }
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => {
                    document
                        .anchors
                        .insert(anchor(&heading.take().unwrap_or_default(), &mut slugs));
                }
                Event::Text(text) => {
                    heading.iter_mut().for_each(|heading| heading.push_str(&text));
                    document.prose.push((line, text.to_string()));
                }
                Event::Code(code) => {
                    heading.iter_mut().for_each(|heading| heading.push_str(&code));
                    document.code.push((line, code.to_string()));
                }
                Event::Html(html) | Event::InlineHtml(html) => {
                    document.html.push((line, html.to_string()));
                }
                _ => {}
            }
        }
        document
    }
}

/// The anchor that GitHub gives a heading: lower case, spaces as hyphens, only letters, digits, `-` and
/// `_`; a repeated one is numbered.
fn anchor(heading: &str, seen: &mut HashMap<String, usize>) -> String {
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    let slug: String = heading.to_lowercase().chars().filter(kept).collect();
    let slug = slug.replace(' ', "-");
    let repeated = seen.entry(slug.clone()).or_default();
    *repeated += 1;
    if *repeated == 1 { slug } else { format!("{slug}-{}", *repeated - 1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(line: usize, info: &str, text: &str) -> Block {
        Block { line, info: info.into(), text: text.into() }
    }

    #[test]
    fn finds_blocks_with_their_info_and_line() {
        let document =
            "# A\n```sh\necho a\n\necho b\n```\ntext\n~~~ text output \na\n```\n~~~\n\n    code\n";
        assert_eq!(
            Document::parse(document).blocks,
            [
                block(2, "sh", "echo a\n\necho b\n"),
                block(8, "text output", "a\n```\n"),
                block(13, "", "code\n")
            ]
        );
    }

    #[test]
    fn a_block_in_a_list_loses_its_indentation() {
        let document = "1. do\n\n   ````md\n   ```sh\n     x\n   ```\n   ````\n";
        assert_eq!(Document::parse(document).blocks, [block(3, "md", "```sh\n  x\n```\n")]);
    }

    #[test]
    fn prose_is_the_text_outside_code() {
        let document = "a `b` c\n```\nd\n```\n[e](f)\n";
        let document = Document::parse(document);
        let expected = [(1, "a "), (1, " c"), (5, "e")].map(|(line, text)| (line, text.to_owned()));
        assert_eq!(document.prose, expected);
        assert_eq!(document.code, [(1, "b".to_owned())]);
    }

    #[test]
    fn finds_links_and_pictures_with_their_line() {
        let document = "[a](b.md) ![p](p.png \"title\")\n[c](<d e.md>)\n| x |\n| - |\n| [f](g) |\n\n\
                        `[a](b.md)` <a@b.c>\n\n[ref]: docs/a.md 'title'\n";
        let mut links = Document::parse(document).links;
        links.sort();
        let expected = [(1, "b.md"), (1, "p.png"), (2, "d e.md"), (5, "g"), (9, "docs/a.md")];
        assert_eq!(links, expected.map(|(line, target)| (line, target.to_owned())));
    }

    #[test]
    fn makes_the_anchors_that_github_makes() {
        let document = "# The `gate`: rules & more\n## 4. The gate's rules\n## [Link](x.md) text\n\
                        ### Über uns ###\n#no heading\n```\n# in code\n```\n## Same\n## Same\n";
        let anchors: Vec<_> = Document::parse(document).anchors.into_iter().collect();
        assert_eq!(
            anchors,
            [
                "4-the-gates-rules",
                "link-text",
                "same",
                "same-1",
                "the-gate-rules--more",
                "über-uns"
            ]
        );
    }
}
