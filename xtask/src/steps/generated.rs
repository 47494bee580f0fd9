//! The part of a document that a program writes.

use std::fs;

use crate::context::{Context, Failure, Outcome, output};

use super::documents::Page;

const DOCUMENT: &str = "docs/configuration.md";
const BEGIN: &str = "<!-- begin reference -->\n";
const END: &str = "<!-- end reference -->\n";

/// Says when the keys of the configuration are not listed as they are declared, and writes the document
/// as it should be.
pub(super) fn outdated(context: &Context, pages: &[Page]) -> Outcome<Option<String>> {
    let Some(page) = pages.iter().find(|page| page.path.to_str() == Some(DOCUMENT)) else {
        return Ok(Some(format!("{DOCUMENT} is missing")));
    };
    let arguments =
        ["run", "--quiet", "--locked", "-p", "nexo-pairing-config", "--example", "reference"];
    let Some(expected) = replaced(&page.text, &output(&mut context.cargo(&arguments))?) else {
        return Ok(Some(format!("{DOCUMENT} has no place for the reference")));
    };
    if page.text == expected {
        return Ok(None);
    }
    let folder = context.metadata()?.target_directory.join("xtask");
    let path = folder.join("configuration.md");
    fs::create_dir_all(&folder)
        .and_then(|()| fs::write(&path, expected))
        .map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
    Ok(Some(format!("{DOCUMENT} is not what {} is", path.display())))
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
    fn only_what_is_between_the_marks_is_replaced() {
        let document = |part: &str| format!("# A\n\n{BEGIN}{part}{END}\nrest\n");
        assert_eq!(replaced(&document("old\n"), "new\n"), Some(document("new\n")));
        assert_eq!(replaced(&document("same\n"), "same\n"), Some(document("same\n")));
        assert_eq!(replaced(&format!("{END}{BEGIN}"), "new\n"), None);
        assert_eq!(replaced("nothing\n", "new\n"), None);
    }
}
