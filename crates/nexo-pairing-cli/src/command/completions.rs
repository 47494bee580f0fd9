//! `completions`: a completion script for a shell.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::cli::Cli;
use crate::{Context, Result};

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  \
    nexo-pair completions bash > ~/.local/share/bash-completion/completions/nexo-pair")]
pub(crate) struct Completions {
    /// The shell.
    shell: Shell,
}

pub(crate) fn run(args: &Completions, context: &mut Context) -> Result {
    context.print_text(&script(args.shell))
}

fn script(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "nexo-pair", &mut script);
    // The generator writes the name with its hyphen in two ways, and Bash would find no subcommand.
    String::from_utf8_lossy(&script).replace("nexo__subcmd__pair__", "nexo__pair__")
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use super::*;

    /// What Bash offers for the last of `words`, which may be the beginning of a word.
    fn offered(words: &[&str]) -> Vec<String> {
        let ask = r#"
            COMP_WORDS=("$@")
            COMP_CWORD=$(($# - 1))
            registered=$(complete -p nexo-pair)
            function=${registered##*-F }
            ${function% *} "$1" "${COMP_WORDS[-1]}" "${COMP_WORDS[-2]}"
            printf '%s\n' "${COMPREPLY[@]}"
        "#;
        let mut bash = Command::new("bash")
            .args(["--norc", "-s", "--"])
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = script(Shell::Bash) + ask;
        bash.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = bash.wait_with_output().unwrap();
        assert!(output.status.success(), "{words:?}");
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn bash_completes_the_flags_and_the_subcommands_of_every_command() {
        fn check<'a>(words: &mut Vec<&'a str>, command: &'a clap::Command) {
            words.push(command.get_name());
            let ask = |last| offered(&[&words[..], &[last]].concat());
            let flags = ask("--");
            for flag in command.get_arguments().filter_map(clap::Arg::get_long) {
                assert!(
                    flags.contains(&format!("--{flag}")),
                    "{words:?}: no --{flag} in {flags:?}"
                );
            }
            let subcommands: Vec<_> =
                command.get_subcommands().filter(|sub| sub.get_name() != "help").collect();
            if !subcommands.is_empty() {
                let names = ask("");
                for subcommand in &subcommands {
                    let name = subcommand.get_name();
                    assert!(names.contains(&name.to_owned()), "{words:?}: no {name} in {names:?}");
                }
            }
            for subcommand in subcommands {
                check(words, subcommand);
            }
            words.pop();
        }
        let mut cli = Cli::command();
        cli.build();
        check(&mut Vec::new(), &cli);
        assert_eq!(offered(&["nexo-pair", "ap"]), ["approve"]);
    }
}
