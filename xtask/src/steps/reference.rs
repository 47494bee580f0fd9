//! The part of `docs/configuration.md` that is generated: the reference of the configuration keys.

use super::documents::Page;
use crate::context::{Context, Outcome};

const DOCUMENT: &str = "docs/configuration.md";
const BEGIN: &str = "<!-- begin reference -->\n";
const END: &str = "<!-- end reference -->\n";

/// The problem if the reference is outdated; writes the current document to the work folder.
pub(super) fn outdated(context: &Context, pages: &[Page]) -> Outcome<Option<String>> {
    let Some(page) = pages.iter().find(|page| page.path == DOCUMENT) else {
        return Ok(Some(format!("{DOCUMENT} is missing")));
    };
    let generate = context.cargo("run --quiet --locked -p nexo-pairing-config --example reference");
    let Some(expected) = replaced(&page.text, &(generate.read()? + "\n")) else {
        return Ok(Some(format!("{DOCUMENT} has no place for the reference")));
    };
    if page.text == expected {
        return Ok(None);
    }
    let path = context.work_folder("docs").join("configuration.md");
    context.shell.write_file(&path, expected)?;
    Ok(Some(format!("{DOCUMENT} differs from {path}")))
}

/// `text` with `part` between the two marks.
fn replaced(text: &str, part: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}{part}{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_text_between_the_marks_is_replaced() {
        let document = |part: &str| format!("# A\n\n{BEGIN}{part}{END}\nrest\n");
        assert_eq!(replaced(&document("old\n"), "new\n"), Some(document("new\n")));
        assert_eq!(replaced(&document("same\n"), "same\n"), Some(document("same\n")));
        assert_eq!(replaced(&format!("{END}{BEGIN}"), "new\n"), None);
        assert_eq!(replaced("nothing\n", "new\n"), None);
    }
}
