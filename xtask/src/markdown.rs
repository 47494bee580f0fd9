//! Reads what the checks need of a Markdown document: fenced blocks, links, anchors, and the prose
//! between the code.
//!
//! It knows the Markdown that our documents are written in, not all of CommonMark: ATX headings,
//! fenced blocks (also indented, in a list), code spans, inline links, link definitions, and
//! `href`, `src`, `id` and `name` in HTML tags.

use std::collections::{BTreeSet, HashMap};

/// A fenced block.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Block {
    /// The line of its opening fence, from 1.
    pub(crate) line: usize,
    /// What stands behind the opening fence, such as `sh`.
    pub(crate) info: String,
    /// What it holds, every line with its line end.
    pub(crate) text: String,
}

/// A link or a picture.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Link {
    /// The line it stands on, from 1.
    pub(crate) line: usize,
    pub(crate) target: String,
}

/// A document, taken apart once.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) blocks: Vec<Block>,
    /// As many lines as the document has; those of fenced blocks are empty.
    outside: String,
}

impl Document {
    pub(crate) fn parse(markdown: &str) -> Self {
        let mut blocks: Vec<Block> = Vec::new();
        let mut outside = String::with_capacity(markdown.len());
        let mut open: Option<Fence<'_>> = None;
        for (index, line) in markdown.lines().enumerate() {
            match (&open, Fence::opening(line)) {
                (Some(fence), _) if fence.is_closed_by(line) => open = None,
                (Some(fence), _) => {
                    if let Some(block) = blocks.last_mut() {
                        block.text.push_str(fence.without_indent(line));
                        block.text.push('\n');
                    }
                }
                (None, Some(fence)) => {
                    let info = fence.info.to_owned();
                    blocks.push(Block { line: index + 1, info, text: String::new() });
                    open = Some(fence);
                }
                (None, None) => outside.push_str(line),
            }
            outside.push('\n');
        }
        Self { blocks, outside }
    }

    /// The lines outside fenced blocks with what is in code spans blanked out.
    pub(crate) fn prose(&self) -> String {
        let mut prose = String::with_capacity(self.outside.len());
        let mut rest = self.outside.as_str();
        while let Some(start) = rest.find('`') {
            let ticks = rest[start..].len() - rest[start..].trim_start_matches('`').len();
            let (before, after) = rest.split_at(start + ticks);
            prose.push_str(before);
            match span_end(after, ticks) {
                Some(end) => {
                    prose.extend(after[..end].chars().map(|c| if c == '\n' { c } else { ' ' }));
                    prose.push_str(&after[end..end + ticks]);
                    rest = &after[end + ticks..];
                }
                None => rest = after,
            }
        }
        prose.push_str(rest);
        prose
    }

    pub(crate) fn links(&self) -> Vec<Link> {
        let mut links = Vec::new();
        for (index, line) in self.prose().lines().enumerate() {
            let inline = line.match_indices("](").map(|(at, mark)| &line[at + mark.len()..]);
            let definition = line
                .trim_start()
                .strip_prefix('[')
                .filter(|label| !label.starts_with('^'))
                .and_then(|label| label.split_once("]:"))
                .map(|(_, target)| target.trim_start());
            let targets = inline.chain(definition).filter_map(destination);
            let attributes = ["href=\"", "src=\""].into_iter().flat_map(|name| quoted(line, name));
            links.extend(targets.chain(attributes).map(|target| Link { line: index + 1, target }));
        }
        links
    }

    /// What `#…` in a link may name: the headings' slugs as GitHub makes them, and ids in HTML.
    pub(crate) fn anchors(&self) -> BTreeSet<String> {
        let mut anchors = BTreeSet::new();
        let mut seen: HashMap<String, usize> = HashMap::new();
        for line in self.outside.lines() {
            anchors.extend(["id=\"", "name=\""].into_iter().flat_map(|name| quoted(line, name)));
            let Some(heading) = heading(line) else { continue };
            let slug = slug(heading);
            let repeated = seen.entry(slug.clone()).or_default();
            anchors.insert(match *repeated {
                0 => slug,
                times => format!("{slug}-{times}"),
            });
            *repeated += 1;
        }
        anchors
    }
}

/// The line that opened a fenced block.
#[derive(Clone, Copy, Debug)]
struct Fence<'a> {
    indent: usize,
    mark: char,
    length: usize,
    info: &'a str,
}

impl<'a> Fence<'a> {
    fn opening(line: &'a str) -> Option<Self> {
        let text = line.trim_start_matches(' ');
        let mark = text.chars().next().filter(|c| matches!(c, '`' | '~'))?;
        let info = text.trim_start_matches(mark);
        let length = text.len() - info.len();
        let valid = length >= 3 && !(mark == '`' && info.contains('`'));
        valid.then(|| Self { indent: line.len() - text.len(), mark, length, info: info.trim() })
    }

    fn is_closed_by(&self, line: &str) -> bool {
        let text = line.trim();
        text.len() >= self.length && text.chars().all(|c| c == self.mark)
    }

    fn without_indent<'l>(&self, line: &'l str) -> &'l str {
        let spaces = line.len() - line.trim_start_matches(' ').len();
        &line[spaces.min(self.indent)..]
    }
}

/// Where a run of exactly `ticks` backticks starts, before the paragraph ends.
fn span_end(text: &str, ticks: usize) -> Option<usize> {
    let text = &text[..text.find("\n\n").unwrap_or(text.len())];
    let mut from = 0;
    while let Some(found) = text[from..].find('`') {
        let start = from + found;
        let length = text[start..].len() - text[start..].trim_start_matches('`').len();
        if length == ticks {
            return Some(start);
        }
        from = start + length;
    }
    None
}

/// The destination at the start of what follows `](` or `]:`, without a title.
fn destination(text: &str) -> Option<String> {
    if let Some(bracketed) = text.strip_prefix('<') {
        return bracketed.split_once('>').map(|(target, _)| target.to_owned());
    }
    let mut depth = 0_usize;
    let end = text.find(|c: char| match c {
        '(' => {
            depth += 1;
            false
        }
        ')' if depth == 0 => true,
        ')' => {
            depth -= 1;
            false
        }
        _ => c.is_whitespace(),
    });
    Some(text[..end.unwrap_or(text.len())].to_owned()).filter(|target| !target.is_empty())
}

/// Every value of an HTML attribute, given as `name="`, on a line.
fn quoted<'a>(line: &'a str, opening: &'a str) -> impl Iterator<Item = String> + 'a {
    line.match_indices(opening)
        .filter(|(at, _)| line[..*at].ends_with(' ') && line[..*at].contains('<'))
        .filter_map(move |(at, _)| line[at + opening.len()..].split_once('"'))
        .map(|(value, _)| value.to_owned())
}

fn heading(line: &str) -> Option<&str> {
    let text = line.trim_start_matches('#');
    let level = line.len() - text.len();
    let is_heading = (1..=6).contains(&level) && text.starts_with(' ');
    is_heading.then(|| text.trim().trim_end_matches('#').trim_end())
}

/// The anchor that GitHub gives a heading: lower case, spaces to hyphens, nothing else but letters,
/// digits, `-` and `_`.
fn slug(heading: &str) -> String {
    let mut text = String::new();
    let mut rest = heading;
    // Of a link only the text counts.
    while let Some((before, after)) = rest.split_once("](") {
        text.push_str(before);
        rest = after.split_once(')').map_or("", |(_, after)| after);
    }
    text.push_str(rest);
    text.to_lowercase()
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(line: usize, info: &str, text: &str) -> Block {
        Block { line, info: info.into(), text: text.into() }
    }

    fn targets(markdown: &str) -> Vec<String> {
        Document::parse(markdown).links().into_iter().map(|link| link.target).collect()
    }

    #[test]
    fn finds_fenced_blocks_with_their_info_and_line() {
        let document = "# A\n```sh\necho a\n\necho b\n```\ntext\n~~~ text output \na\n```\n~~~\n";
        assert_eq!(
            Document::parse(document).blocks,
            [block(2, "sh", "echo a\n\necho b\n"), block(8, "text output", "a\n```\n")]
        );
    }

    #[test]
    fn a_longer_fence_holds_shorter_ones_and_indentation_goes() {
        let document = "1. do\n\n   ````md\n   ```sh\n     x\n   ```\n   ````\n";
        assert_eq!(Document::parse(document).blocks, [block(3, "md", "```sh\n  x\n```\n")]);
    }

    #[test]
    fn an_open_block_runs_to_the_end_and_inline_code_is_no_fence() {
        assert_eq!(Document::parse("```sh\na").blocks, [block(1, "sh", "a\n")]);
        assert_eq!(Document::parse("```a``` is inline\n").blocks, []);
    }

    #[test]
    fn prose_keeps_lines_and_leaves_out_code() {
        let document = "a `b\nc` d\n```\ne\n```\n``x ` y`` f `lonely\n\ng`\n";
        let prose = Document::parse(document).prose();
        assert_eq!(prose, "a ` \n ` d\n\n\n\n``     `` f `lonely\n\ng`\n");
    }

    #[test]
    fn finds_links_of_every_kind() {
        assert_eq!(
            targets("[a](b.md) ![p](p.png \"title\") [c](<d e.md>)"),
            ["b.md", "p.png", "d e.md"]
        );
        assert_eq!(targets("[a](x_(y).md#z), ([b](#c))"), ["x_(y).md#z", "#c"]);
        assert_eq!(targets("[ref]: docs/a.md 'title'\n[^note]: text"), ["docs/a.md"]);
        assert_eq!(targets("<a href=\"a.md\"><img alt=\"\" src=\"b.png\"></a>"), ["a.md", "b.png"]);
        assert_eq!(targets("`[a](b.md)`\n```\n[c](d.md)\n```\n"), Vec::<String>::new());
        let links = Document::parse("\n\n[a](b)").links();
        assert_eq!(links, [Link { line: 3, target: "b".into() }]);
    }

    #[test]
    fn makes_the_anchors_that_github_makes() {
        let document = "# The `gate`: rules & more\n## 4. The gate's rules\n## [Link](x.md) text\n\
                        ### Über uns ###\n#no heading\n```\n# in code\n```\n## Same\n## Same\n\
                        <a id=\"own\"></a>\n";
        let anchors: Vec<_> = Document::parse(document).anchors().into_iter().collect();
        assert_eq!(
            anchors,
            [
                "4-the-gates-rules",
                "link-text",
                "own",
                "same",
                "same-1",
                "the-gate-rules--more",
                "über-uns"
            ]
        );
    }
}
