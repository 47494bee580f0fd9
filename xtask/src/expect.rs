//! Compares what a command printed with what a document says it prints.
//!
//! In the document `…` stands for any text within a line, also for none; a line that is only `…`
//! stands for any number of lines, also for none. Spaces at line ends and empty lines at the end do
//! not count.

const ANY: char = '…';

/// Whether the output is what is expected.
pub(crate) fn matches(expected: &str, actual: &str) -> bool {
    let (expected, actual) = (lines(expected), lines(actual));
    glob(&expected, &actual, |line| line.trim() == ANY.to_string(), |e, a| line_matches(e, a))
}

fn lines(text: &str) -> Vec<&str> {
    text.trim_end().lines().map(str::trim_end).collect()
}

fn line_matches(expected: &str, actual: &str) -> bool {
    let expected: Vec<char> = expected.chars().collect();
    let actual: Vec<char> = actual.chars().collect();
    glob(&expected, &actual, |c| *c == ANY, |e, a| e == a)
}

/// Whether `pattern` fits all of `items`, where an element that `is_any` fits a run of any length.
/// It goes back only to the last such element, so it takes at most `pattern.len() * items.len()`
/// comparisons.
fn glob<T>(
    pattern: &[T],
    items: &[T],
    is_any: impl Fn(&T) -> bool,
    fits: impl Fn(&T, &T) -> bool,
) -> bool {
    let (mut at, mut item) = (0, 0);
    let mut retry = None;
    while item < items.len() {
        match pattern.get(at) {
            Some(element) if is_any(element) => {
                at += 1;
                retry = Some((at, item));
            }
            Some(element) if fits(element, &items[item]) => {
                at += 1;
                item += 1;
            }
            _ => match retry {
                Some((after_any, from)) => {
                    at = after_any;
                    item = from + 1;
                    retry = Some((after_any, item));
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(is_any)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_placeholder_every_character_counts() {
        assert!(matches("admit\nchallenge\n", "admit\nchallenge"));
        assert!(matches("", ""));
        assert!(!matches("admit", "Admit"));
        assert!(!matches("admit", "admit\nchallenge"));
        assert!(!matches("admit\nchallenge", "admit"));
        assert!(!matches("", "admit"));
    }

    #[test]
    fn line_ends_do_not_count_but_indentation_does() {
        assert!(matches("a  \nb\n\n", "a\nb \n"));
        assert!(!matches("a\n  b", "a\nb"));
        assert!(!matches("a\n\nb", "a\nb"));
    }

    #[test]
    fn a_placeholder_within_a_line_stays_within_it() {
        assert!(matches(r#"{"code":"…","ok":true}"#, r#"{"code":"K7M9PQ2X","ok":true}"#));
        assert!(matches("…", "one"));
        assert!(matches("a…b…c", "a-b-b-c"));
        assert!(matches("a…", "a"));
        assert!(!matches("a…b", "a\nb"));
        assert!(!matches("a…b", "a-c"));
        assert!(!matches("…b", "b-"));
    }

    #[test]
    fn a_line_of_its_own_stands_for_any_lines() {
        assert!(matches("first\n…\nlast", "first\nlast"));
        assert!(matches("first\n  …\nlast", "first\n2\n3\nlast"));
        assert!(matches("…\nx\n…", "x"));
        assert!(matches("…\nx\ny", "x\nz\nx\ny"));
        assert!(!matches("first\n…\nlast", "first\nlast\nmore"));
    }
}
