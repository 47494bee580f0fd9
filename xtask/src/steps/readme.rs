//! `readme`: the commands in `README.md` and `docs/**/*.md` run, and print what is shown below them.
//!
//! The text behind the opening fence of a block says what it is:
//!
//! | info string | the block |
//! | --- | --- |
//! | `sh` | is run, and has to end with exit code 0 |
//! | `sh exit=N` | is run, and has to end with exit code N |
//! | `text output`, `json output` | is what the `sh` block before it prints, standard output and standard error together as on a terminal; no other block may be between the two |
//! | `console` and anything else | is skipped; `bash`, `shell` and the like are rejected, so that no command is skipped by mistake |
//!
//! In an output block `…` matches any text within a line, and a line that is only `…` any number of
//! lines. Spaces at line ends and empty lines at the end do not count.
//!
//! Each block is one `sh -eu` in the root of a copy of the checkout, without standard input, with the
//! built `nexo-pair` first on `PATH`. `HOME` and `NEXO_HOME` are new and empty for each document; the
//! blocks of one document run in order and see each other's files, but not each other's variables.
//! Processes that a block leaves behind end with it.
//!
//! A block that only calls `cargo xtask` is not run, since this is one of its steps; the steps that it
//! names have to exist.

use regex::Regex;

use super::documents::{self, Page};
use super::scratch::Scratch;
use crate::context::{Context, Outcome, fail_on};
use crate::markdown::Block;

/// A block to run.
#[derive(Debug, PartialEq, Eq)]
struct Command<'a> {
    line: usize,
    script: &'a str,
    exit: i32,
    prints: Option<&'a str>,
}

pub(crate) fn run(context: &Context) -> Outcome {
    let files = documents::files(context)?;
    let pages = documents::pages(context, &files)?;
    let (mut plans, mut problems) = (Vec::new(), Vec::new());
    for page in &pages {
        match plan(page) {
            Ok(commands) if commands.is_empty() => {}
            Ok(commands) => plans.push((page, commands)),
            Err(wrong) => problems.extend(wrong),
        }
    }
    fail_on(&problems)?;
    let scratch = Scratch::build(context, files)?;
    for (page, commands) in &plans {
        scratch.reset(context)?;
        for command in commands {
            let place = page.at(command.line);
            println!("{place}");
            if let Some(problem) = run_one(&scratch, command)? {
                problems.push(format!("{place}: {problem}"));
                // The commands after it may depend on it.
                break;
            }
        }
    }
    fail_on(&problems)?;
    let commands = || plans.iter().flat_map(|(_, commands)| commands);
    let compared = commands().filter(|command| command.prints.is_some()).count();
    println!("{} blocks ran, {compared} outputs compared", commands().count());
    Ok(())
}

fn run_one(scratch: &Scratch, command: &Command<'_>) -> Outcome<Option<String>> {
    let ran = scratch.run(command.script)?;
    let expected = command.prints.unwrap_or("…");
    Ok(if ran.exit != Some(command.exit) {
        let (exit, printed) = (ran.exit, ran.printed);
        Some(format!("exit code {exit:?} instead of {}; it printed\n{printed}", command.exit))
    } else if !matches(expected, &ran.printed)? {
        Some(format!("the document has\n{expected}\nbut it printed\n{}", ran.printed))
    } else {
        None
    })
}

/// Whether the output is as expected.
fn matches(expected: &str, printed: &str) -> Outcome<bool> {
    let lines = |text: &str| -> Vec<String> {
        text.trim_end().lines().map(|line| line.trim_end().to_owned() + "\n").collect()
    };
    let pattern = lines(expected).into_iter().map(|line| match line.trim() {
        "…" => "(.*\n)*".to_owned(),
        _ => regex::escape(&line).replace('…', ".*"),
    });
    let pattern = Regex::new(&format!("^{}$", pattern.collect::<String>()))?;
    Ok(pattern.is_match(&lines(printed).concat()))
}

/// The commands of a document, or what is wrong with its blocks.
fn plan(page: &Page) -> Result<Vec<Command<'_>>, Vec<String>> {
    let mut commands: Vec<Command<'_>> = Vec::new();
    let mut problems = Vec::new();
    let mut output_belongs = false;
    for block in &page.document.blocks {
        let was_run = std::mem::take(&mut output_belongs);
        let info: Vec<&str> = block.info.split_whitespace().collect();
        let problem = match info[..] {
            ["sh"] if calls_checks(block) => unknown_step(block),
            ["sh", ..] if block.text.contains("cargo xtask") => {
                Some("`cargo xtask` needs a block of its own".to_owned())
            }
            ["sh", ref options @ ..] => match exit_code(options) {
                None => Some(format!("`{}` is neither `sh` nor `sh exit=N`", block.info)),
                Some(exit) => {
                    let script = block.text.as_str();
                    commands.push(Command { line: block.line, script, exit, prints: None });
                    output_belongs = true;
                    None
                }
            },
            ["text" | "json", "output"] => match commands.last_mut().filter(|_| was_run) {
                Some(command) => {
                    command.prints = Some(&block.text);
                    None
                }
                None => Some("there is no `sh` block right before this output".to_owned()),
            },
            ["bash" | "shell" | "zsh" | "shell-session", ..] => {
                Some("use `sh` for a block that is run, `console` for one that is not".to_owned())
            }
            _ => None,
        };
        problems.extend(problem.map(|problem| format!("{}: {problem}", page.at(block.line))));
    }
    if problems.is_empty() { Ok(commands) } else { Err(problems) }
}

fn exit_code(options: &[&str]) -> Option<i32> {
    match options {
        [] => Some(0),
        [option] => option.strip_prefix("exit=")?.parse().ok(),
        _ => None,
    }
}

/// The lines of a script without comments and empty ones, in words.
fn code_lines(block: &Block) -> impl Iterator<Item = Vec<&str>> {
    let lines = block.text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    lines.filter(|words| words.first().is_some_and(|word| !word.starts_with('#')))
}

fn calls_checks(block: &Block) -> bool {
    let is_check = |words: Vec<&str>| words.starts_with(&["cargo", "xtask"]);
    code_lines(block).next().is_some() && code_lines(block).all(is_check)
}

fn unknown_step(block: &Block) -> Option<String> {
    let mut names = code_lines(block).filter_map(|words| words.get(2).copied());
    let unknown = names.find(|name| super::named(name).is_none())?;
    Some(format!("`cargo xtask {unknown}` does not exist"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(text: &str) -> Page {
        Page::new("README.md", text)
    }

    #[test]
    fn pairs_commands_with_their_output() {
        let text = "```sh\na\n```\nprints\n```text output\nb\n```\n\
                    ```sh exit=1\nc\n```\n```console\n$ d\n```\n";
        let page = page(text);
        assert_eq!(
            plan(&page).unwrap(),
            [
                Command { line: 1, script: "a\n", exit: 0, prints: Some("b\n") },
                Command { line: 8, script: "c\n", exit: 1, prints: None },
            ]
        );
    }

    #[test]
    fn blocks_without_commands_are_skipped() {
        let page = page("```text\na\n```\n```json\n{}\n```\n```\nb\n```\n```yaml\nc: 1\n```\n");
        assert_eq!(plan(&page).unwrap(), []);
    }

    #[test]
    fn the_checks_do_not_call_themselves() {
        assert_eq!(plan(&page("```sh\n# all\ncargo xtask ci\n```")).unwrap(), []);
        assert_eq!(plan(&page("```sh\ncargo xtask fmt\ncargo xtask\n```")).unwrap(), []);
        let [problem] = &plan(&page("```sh\ncargo xtask nothing\n```")).unwrap_err()[..] else {
            panic!("one problem")
        };
        assert_eq!(problem, "README.md:1: `cargo xtask nothing` does not exist");
        assert!(plan(&page("```sh\ncd .\ncargo xtask ci\n```")).is_err());
    }

    #[test]
    fn ambiguous_blocks_are_rejected() {
        for text in [
            "```bash\na\n```",
            "```sh run\na\n```",
            "```sh exit=x\na\n```",
            "```text output\na\n```",
            "```sh\na\n```\n```yaml\nb: 1\n```\n```text output\nc\n```",
            "```sh\na\n```\n```text output\nb\n```\n```text output\nc\n```",
        ] {
            assert_eq!(plan(&page(text)).unwrap_err().len(), 1, "{text}");
        }
    }

    #[test]
    fn without_a_placeholder_every_character_counts() {
        let matches = |expected, printed| matches(expected, printed).unwrap();
        assert!(matches("admit\nchallenge\n", "admit\nchallenge"));
        assert!(matches("", ""));
        assert!(!matches("admit", "Admit"));
        assert!(!matches("admit", "admit\nchallenge"));
        assert!(!matches("admit\nchallenge", "admit"));
        assert!(!matches("", "admit"));
        assert!(!matches("a.c", "abc"));
    }

    #[test]
    fn line_ends_do_not_count_but_indentation_does() {
        let matches = |expected, printed| matches(expected, printed).unwrap();
        assert!(matches("a  \nb\n\n", "a\nb \n"));
        assert!(!matches("a\n  b", "a\nb"));
        assert!(!matches("a\n\nb", "a\nb"));
    }

    #[test]
    fn a_placeholder_within_a_line_stays_within_it() {
        let matches = |expected, printed| matches(expected, printed).unwrap();
        assert!(matches(r#"{"code":"…","ok":true}"#, r#"{"code":"K7M9PQ2X","ok":true}"#));
        assert!(matches("a…b…c", "a-b-b-c"));
        assert!(matches("a…", "a"));
        assert!(!matches("a…b", "a\nb"));
        assert!(!matches("a…b", "a-c"));
        assert!(!matches("…b", "b-"));
    }

    #[test]
    fn a_line_that_is_a_placeholder_matches_any_lines() {
        let matches = |expected, printed| matches(expected, printed).unwrap();
        assert!(matches("…", "one"));
        assert!(matches("…", ""));
        assert!(matches("first\n…\nlast", "first\nlast"));
        assert!(matches("first\n  …\nlast", "first\n2\n3\nlast"));
        assert!(matches("…\nx\n…", "x"));
        assert!(matches("…\nx\ny", "x\nz\nx\ny"));
        assert!(!matches("first\n…\nlast", "first\nlast\nmore"));
    }
}
