//! Renders a challenge in Telegram's MarkdownV2, so that Telegram accepts and shows any text.
//!
//! Telegram refuses a text with a single unescaped reserved character ("Character '.' is reserved and
//! must be escaped"), so an operator's template is escaped and never read as markup.
//! <https://core.telegram.org/bots/api#markdownv2-style>

use nexo_pairing_core::Segment;

/// Renders `segments`: text escaped, verbatim parts as code spans, which a tap copies.
pub(crate) fn render(segments: &[Segment<'_>]) -> String {
    let mut markdown = String::new();
    for segment in segments {
        match segment {
            Segment::Text(text) => escape(text, is_reserved, &mut markdown),
            // An empty span before another one would read as the three backticks of a block.
            Segment::Verbatim(exact) if exact.is_empty() => {}
            Segment::Verbatim(exact) => {
                markdown.push('`');
                escape(exact, is_reserved_in_code, &mut markdown);
                markdown.push('`');
            }
        }
    }
    markdown
}

fn escape(text: &str, is_special: fn(char) -> bool, markdown: &mut String) {
    for c in text.chars() {
        if is_special(c) {
            markdown.push('\\');
        }
        markdown.push(c);
    }
}

fn is_reserved(c: char) -> bool {
    matches!(
        c,
        '_' | '*'
            | '['
            | ']'
            | '('
            | ')'
            | '~'
            | '`'
            | '>'
            | '#'
            | '+'
            | '-'
            | '='
            | '|'
            | '{'
            | '}'
            | '.'
            | '!'
            | '\\'
    )
}

fn is_reserved_in_code(c: char) -> bool {
    matches!(c, '`' | '\\')
}

#[cfg(test)]
mod tests;
