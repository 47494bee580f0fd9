//! What can be taken out of a formatted source file: its lines, each with what it begins.

use std::collections::HashMap;
use std::ops::Range;

/// Lines to take out of a file, and what stays in their place.
#[derive(Debug)]
pub(super) struct Cut {
    /// The function and the line, and which of several such lines of the function it is.
    pub(super) name: String,
    lines: Range<usize>,
    left: String,
}

impl Cut {
    /// The file that it was found in, without it.
    pub(super) fn apply(&self, text: &str) -> String {
        let lines = text.lines().enumerate().filter_map(|(at, line)| match at {
            at if at == self.lines.start => Some(self.left.as_str()),
            at if self.lines.contains(&at) => None,
            _ => Some(line),
        });
        lines.flat_map(|line| [line, "\n"]).collect()
    }
}

/// All cuts of a file, its tests aside.
pub(super) fn cuts(text: &str) -> Vec<Cut> {
    let (mut cuts, mut function, mut names) = (Vec::new(), "", HashMap::new());
    let mut is_in_text = false;
    let lines: Vec<&str> = text.lines().take_while(|line| *line != "#[cfg(test)]").collect();
    for (at, line) in lines.iter().enumerate() {
        function = begun(line).unwrap_or(function);
        let changes = line.matches('"').count() % 2 == 1;
        if is_code(line.trim()) {
            let name = format!("{function}: {}", line.trim());
            let number: &mut u32 = names.entry(name.clone()).or_default();
            *number += 1;
            let name = if *number == 1 { name } else { format!("{name} ({number})") };
            // A text of several lines, such as SQL, stays one without its first or its last.
            let (lines, left) = match (changes, is_in_text) {
                (true, false) => (at..at + 1, &line[..=line.rfind('"').unwrap_or_default()]),
                (true, true) => (at..at + 1, &line[line.find('"').unwrap_or_default()..]),
                (false, _) => (at..end(&lines, at), ""),
            };
            cuts.push(Cut { name, lines, left: left.to_owned() });
        }
        is_in_text ^= changes;
    }
    cuts
}

/// Where what begins in a line ends: it has the lines further in, and the closing one after them.
fn end(lines: &[&str], at: usize) -> usize {
    let own = indent(lines[at]);
    let belongs = |line: &&&str| {
        indent(line) > own || line.is_empty() || indent(line) == own && closes(line.trim())
    };
    let mut end = at + 1 + lines[at + 1..].iter().take_while(belongs).count();
    while lines[end - 1].is_empty() {
        end -= 1;
    }
    end
}

/// Whether a line, trimmed, does something: what declares only, or closes, is not taken out.
fn is_code(line: &str) -> bool {
    let declares =
        ["//", "#[", "use ", "mod ", "pub ", "pub(", "fn ", "async fn ", "impl ", "impl<"];
    let declares = |line: &str| declares.iter().any(|start| line.starts_with(start));
    !line.is_empty() && !closes(line) && (!declares(line) || line.contains('"'))
}

/// The name of the function that a line begins, or of the constant outside of any.
fn begun(line: &str) -> Option<&str> {
    let qualifies =
        |word: &str| ["async", "const", "pub"].contains(&word) || word.starts_with("pub(");
    let constant = || line.split_once("const ").filter(|_| indent(line) == 0);
    let (before, after) = line.split_once("fn ").or_else(constant)?;
    let begins = before.split_whitespace().all(qualifies);
    after.split(['(', '<', ':', ' ']).next().filter(|_| begins)
}

fn closes(line: &str) -> bool {
    line.starts_with(['}', ')', ']']) || line.starts_with("where") || line == "{"
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: &str = r#"//! About.
use std::fmt;

const ALL: &str = "SELECT * FROM t
    WHERE at > 0";

pub(crate) async fn count(write: &Write) -> Result<i64> {
    let now = write.now();
    if now > 3 {
        note(now);
    } else {
        note(now);
    }
    write
        .tx
        .prepare(
            "SELECT count(*) FROM t
                WHERE at = ?1
                AND kind = 'x'",
        )?
        .query(now)
}

#[cfg(test)]
mod tests {
    fn no_code() {
        assert!(true);
    }
}
"#;

    fn cut(name: &str) -> Cut {
        cuts(CODE).into_iter().find(|cut| cut.name == name).unwrap()
    }

    #[test]
    fn each_line_has_a_name_of_its_own() {
        let names: Vec<String> = cuts(CODE).into_iter().map(|cut| cut.name).collect();
        assert_eq!(
            names,
            [
                "ALL: const ALL: &str = \"SELECT * FROM t",
                "ALL: WHERE at > 0\";",
                "count: let now = write.now();",
                "count: if now > 3 {",
                "count: note(now);",
                "count: note(now); (2)",
                "count: write",
                "count: .tx",
                "count: .prepare(",
                "count: \"SELECT count(*) FROM t",
                "count: WHERE at = ?1",
                "count: AND kind = 'x'\",",
                "count: .query(now)",
            ]
        );
    }

    #[test]
    fn what_a_line_begins_goes_with_it() {
        let without = |name: &str| cut(name).apply(CODE);
        assert!(without("count: let now = write.now();").contains("Result<i64> {\n\n    if now"));
        assert!(without("count: if now > 3 {").contains("write.now();\n\n    write\n"));
        assert!(without("count: note(now); (2)").contains("note(now);\n    } else {\n\n    }\n"));
        assert!(without("count: write").contains("    }\n\n}\n"));
        assert!(without("count: .prepare(").contains(".tx\n\n        .query(now)"));
        assert!(without("count: WHERE at = ?1").contains("FROM t\n\n                AND"));
    }

    #[test]
    fn a_text_stays_one_without_its_first_or_its_last_line() {
        let without = |name: &str| cut(name).apply(CODE);
        let first = without("ALL: const ALL: &str = \"SELECT * FROM t");
        assert!(first.contains("const ALL: &str = \"\n    WHERE at > 0\";"), "{first}");
        let last = without("ALL: WHERE at > 0\";");
        assert!(last.contains("SELECT * FROM t\n\";\n"), "{last}");
        let last = without("count: AND kind = 'x'\",");
        assert!(last.contains("WHERE at = ?1\n\",\n        )?"), "{last}");
    }

    #[test]
    fn a_function_is_known_by_its_first_line() {
        assert_eq!(begun("    pub(crate) async fn look(&self) {"), Some("look"));
        assert_eq!(begun("fn sum<T>(of: T) {"), Some("sum"));
        assert_eq!(begun("    const fn one() -> u8 {"), Some("one"));
        assert_eq!(begun("const _: () = assert!(true);"), Some("_"));
        assert_eq!(begun("    const YEARS: u8 = 1;"), None);
        assert_eq!(begun("    let holds = |fn_name| 1;"), None);
        assert_eq!(begun("    // the fn (below)"), None);
    }
}
