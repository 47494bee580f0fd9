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

    /// What Bash offers for the last word of each line, which may be the beginning of a word.
    fn offered(lines: &[String]) -> Vec<Vec<String>> {
        let mut input = script(Shell::Bash);
        input += r#"
            registered=$(complete -p nexo-pair)
            function=${registered##*-F }
            function=${function% *}
            offer() {
                COMP_WORDS=("$@")
                COMP_CWORD=$(($# - 1))
                "$function" "$1" "${COMP_WORDS[-1]}" "${COMP_WORDS[-2]}"
                echo "${COMPREPLY[*]}"
            }
        "#;
        lines.iter().for_each(|line| input += &format!("\noffer {line}"));
        let mut bash = Command::new("bash")
            .args(["--norc", "-s"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = bash.stdin.take().unwrap();
        std::thread::spawn(move || stdin.write_all(input.as_bytes()).unwrap());
        let output = bash.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let words = |line: &str| line.split(' ').map(str::to_owned).collect();
        String::from_utf8(output.stdout).unwrap().lines().map(words).collect()
    }

    /// A line for each command, and the words that Bash should offer at its end.
    fn expected(command: &clap::Command, before: &str) -> Vec<(String, Vec<String>)> {
        let line = format!("{before}{} ", command.get_name());
        let flags = command.get_arguments().filter_map(clap::Arg::get_long);
        let mut expected = vec![(format!("{line}--"), flags.map(|it| format!("--{it}")).collect())];
        let subcommands: Vec<_> =
            command.get_subcommands().filter(|sub| sub.get_name() != "help").collect();
        if !subcommands.is_empty() {
            let names = subcommands.iter().map(|sub| sub.get_name().to_owned());
            expected.push((format!("{line}''"), names.collect()));
        }
        expected.extend(subcommands.into_iter().flat_map(|sub| self::expected(sub, &line)));
        expected
    }

    #[test]
    fn bash_completes_the_flags_and_the_subcommands_of_every_command() {
        let mut cli = Cli::command();
        cli.build();
        let (lines, expected): (Vec<_>, Vec<_>) = expected(&cli, "").into_iter().unzip();
        assert!(lines.contains(&"nexo-pair devices revoke --".to_owned()), "{lines:?}");
        let offered = offered(&lines);
        assert_eq!(offered.len(), lines.len());
        for ((line, expected), offered) in lines.iter().zip(expected).zip(offered) {
            for word in expected {
                assert!(offered.contains(&word), "{line}: no {word} in {offered:?}");
            }
        }
    }

    #[test]
    fn bash_completes_the_beginning_of_a_command() {
        assert_eq!(offered(&["nexo-pair ap".to_owned()]), [["approve"]]);
    }
}
