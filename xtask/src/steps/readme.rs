//! `readme`: the commands in `README.md` and `docs/**/*.md` run, and print what stands below them.
//!
//! What a fenced block is for stands behind its opening fence:
//!
//! | info string | the block |
//! | --- | --- |
//! | `sh` | is run, and has to end with exit code 0 |
//! | `sh exit=N` | is run, and has to end with exit code N |
//! | `text output`, `json output` | is what the `sh` block before it prints, standard output and standard error together as on a terminal; no other fenced block stands between the two |
//! | `console` and anything else | is not looked at; `bash`, `shell` and the like are refused, so that nothing is left out by mistake |
//!
//! In an output block `…` stands for any text within a line, and a line that is only `…` for any
//! number of lines.
//!
//! Each block is one `sh -eu` in the root of a copy of the checkout, without standard input, with
//! the built `nexo-pair` first on `PATH`. `HOME` and `NEXO_HOME` are new and empty for each
//! document; the blocks of one document run in order and see each other's files, but not each
//! other's variables. What a block leaves running is ended with it.
//!
//! A block that only calls `cargo xtask` is not run, since it is these checks; the steps it names
//! have to exist.

use crate::context::{Context, Failure, Outcome};
use crate::expect;
use crate::markdown::Block;

use super::documents::{self, Page};
use super::scratch::Scratch;

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
    let mut plans = Vec::new();
    let mut problems = Vec::new();
    for page in &pages {
        match plan(page) {
            Ok(commands) if commands.is_empty() => {}
            Ok(commands) => plans.push((page, commands)),
            Err(wrong) => problems.extend(wrong),
        }
    }
    if !problems.is_empty() {
        return Err(Failure::list(&problems));
    }
    let scratch = Scratch::build(context, files)?;
    for (page, commands) in &plans {
        scratch.reset(context)?;
        for command in commands {
            println!("{}", page.at(command.line));
            // What comes after it in this document may need what it did.
            if let Err(problem) = run_one(&scratch, command) {
                problems.push(format!("{}: {problem}", page.at(command.line)));
                break;
            }
        }
    }
    if !problems.is_empty() {
        return Err(Failure::list(&problems));
    }
    let compared = plans.iter().flat_map(|(_, commands)| commands).filter(|c| c.prints.is_some());
    let ran: usize = plans.iter().map(|(_, commands)| commands.len()).sum();
    println!("{ran} blocks ran, {} outputs compared", compared.count());
    Ok(())
}

fn run_one(scratch: &Scratch, command: &Command<'_>) -> Outcome {
    let ran = scratch.run(command.script)?;
    if ran.exit != Some(command.exit) {
        let ended = match ran.exit {
            Some(code) => format!("ended with exit code {code}, not {}", command.exit),
            None => "was ended by a signal, or took too long".into(),
        };
        return Err(Failure::new(format!("{ended}; it printed\n{}", ran.printed)));
    }
    match command.prints {
        Some(expected) if !expect::matches(expected, &ran.printed) => Err(Failure::new(format!(
            "prints something else; the document has\n{expected}\nand it printed\n{}",
            ran.printed
        ))),
        _ => Ok(()),
    }
}

/// What to run of a document, or what is wrong with its blocks.
fn plan(page: &Page) -> Result<Vec<Command<'_>>, Vec<String>> {
    let mut commands: Vec<Command<'_>> = Vec::new();
    let mut problems = Vec::new();
    let mut output_belongs = false;
    for block in &page.document.blocks {
        let was_run = std::mem::take(&mut output_belongs);
        let problem = match block.info.split_whitespace().collect::<Vec<_>>()[..] {
            ["sh"] if calls_checks(block) => unknown_step(block),
            ["sh", ref options @ ..] => match exit_code(options) {
                _ if block.text.contains("cargo xtask") => {
                    Some("`cargo xtask` stands in a block of its own".into())
                }
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
                None => Some("no `sh` block right before this output".into()),
            },
            ["bash" | "shell" | "zsh" | "shell-session", ..] => {
                Some("`sh` is a block that is run here, `console` one that is not".into())
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

/// The lines of a script without comments and empty ones.
fn code_lines(block: &Block) -> impl Iterator<Item = &str> {
    block.text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

fn calls_checks(block: &Block) -> bool {
    let is_check = |line: &str| line == "cargo xtask" || line.starts_with("cargo xtask ");
    code_lines(block).next().is_some() && code_lines(block).all(is_check)
}

fn unknown_step(block: &Block) -> Option<String> {
    let named = |line: &str| line.split_whitespace().nth(2).map(str::to_owned);
    code_lines(block)
        .filter_map(named)
        .find(|name| super::named(name).is_none())
        .map(|name| format!("`cargo xtask {name}` does not exist"))
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
    fn blocks_that_are_no_commands_are_left_alone() {
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
    fn what_could_be_meant_otherwise_is_refused() {
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
}
