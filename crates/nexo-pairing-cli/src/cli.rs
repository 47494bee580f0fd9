//! The command line as `clap` reads it, and what each command leads to.

use clap::{Parser, Subcommand};

use crate::command::{
    approve, backup, block, cancel, claim, completions, config, decode, devices, doctor, explain,
    forget, forget_adapter, forget_mode, gate, keys, list, log, reject, revoke, seed, serve, start,
    unblock, unlock,
};
use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::flags::Global;
use crate::io::Io;
use crate::output::report;
use crate::{logging, process, usage};

/// Who may talk to a chat agent, and which device may join it.
///
/// A stranger writes to the bot. The bot answers with a code, such as K7M9-PQ2X, and withholds the
/// message. The stranger tells you the code, and you let him in:
///
///   nexo-pair list                  who is waiting
///   nexo-pair approve K7M9-PQ2X     let him in
///   nexo-pair revoke whatsapp:+5491155556666
///
/// A companion app joins by scanning a code that is good for a minute:
///
///   nexo-pair start --public-url wss://nexo.example.com --for-device phone
///
/// A gate needs a mode in the configuration, such as `mode: pairing`, and keeps it when that is lost.
/// Try `nexo-pair gate --auto-challenge --dry-run` first: it shows who would be asked.
#[derive(Debug, Parser)]
#[command(
    name = "nexo-pair",
    version,
    verbatim_doc_comment,
    arg_required_else_help = true,
    max_term_width = 100,
    after_long_help = "Exit status: 0 done; 1 refused by a pairing rule; 2 usage or \
                       configuration; 3 storage or I/O."
)]
pub struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show who is waiting and, with --all, who is allowed and blocked.
    List(list::List),
    /// Let in the sender who has a code.
    Approve(approve::Approve),
    /// Refuse the sender who has a code; he gets no other for 24 hours.
    Reject(reject::Reject),
    /// End what a sender was allowed.
    Revoke(revoke::Revoke),
    /// Keep a sender out for good.
    Block(block::Block),
    /// Take back a block; restores nothing of what it ended.
    Unblock(unblock::Unblock),
    /// Let in senders that you know, without a code.
    Seed(seed::Seed),
    /// Erase a person: what he was allowed, his blocks and his requests.
    Forget(forget::Forget),
    /// Forget which mode an account was last in, where the configuration does not say it any more.
    ForgetMode(forget_mode::ForgetMode),
    /// Forget that another process served a channel, where the configuration does not say it any more.
    ForgetAdapter(forget_adapter::ForgetAdapter),
    /// Say what the gate would do with a sender, and by which rule.
    Explain(explain::Explain),
    /// Show the audit log: who did what, and when.
    Log(log::Log),
    /// Take back the lockout that follows too many wrong codes.
    Unlock(unlock::Unlock),
    /// Issue a setup code and show it as a QR code, for a companion to scan.
    Start(start::Start),
    /// Take back a setup code that was not used yet.
    Cancel(cancel::Cancel),
    /// Show, make and take away the keys that sign setup codes.
    #[command(subcommand, after_help = "Example:\n  nexo-pair keys list")]
    Keys(keys::Keys),
    /// Let companions claim setup codes, and services check their sessions, over HTTP.
    Serve(serve::Serve),
    /// Decide on inbound messages, one JSON object a line, from standard input.
    Gate(gate::Gate),
    /// Turn a setup code into a session, as a companion app does.
    Claim(claim::Claim),
    /// Show what a setup code says, without using it.
    Decode(decode::Decode),
    /// See which devices have a session, and end one.
    Devices(devices::Devices),
    /// Show the configuration in force, and where each value came from.
    Config(config::ShowConfig),
    /// Look for what is wrong on this machine, and say how to mend it.
    Doctor(doctor::Doctor),
    /// Copy the database to a new file while it is in use.
    Backup(backup::Backup),
    /// Write a completion script for a shell.
    Completions(completions::Completions),
}

/// The program: reads the arguments of this process, runs the command and says how to exit.
pub fn main() -> Exit {
    process::restrict();
    let mut io = Io::standard();
    let cli = match usage::parse(std::env::args_os(), &mut io) {
        Ok(cli) => cli,
        Err(exit) => return exit,
    };
    logging::to_stderr(cli.global.json);
    let mut builder = match cli.command {
        // Many clients at once, and cryptography for each.
        Command::Serve(_) => tokio::runtime::Builder::new_multi_thread(),
        _ => tokio::runtime::Builder::new_current_thread(),
    };
    let runtime = match builder.enable_all().build() {
        Ok(runtime) => runtime,
        Err(source) => {
            let error = CliError::Io { what: "start".to_owned(), source };
            return report(&error, cli.global.json, &mut io);
        }
    };
    let exit = runtime.block_on(run(cli, io));
    // A thread that waits for input must not keep the program.
    runtime.shutdown_background();
    exit
}

/// Runs one command to its end; it has reported to `io` whatever there is to say.
///
/// Needs a Tokio runtime with time and, for `gate` and `serve`, with I/O enabled. These two also
/// listen to SIGINT, SIGTERM and SIGHUP from then on.
pub async fn run(cli: Cli, io: Io) -> Exit {
    let json = cli.global.json;
    let mut context = Context::new(cli.global, io);
    match dispatch(cli.command, &mut context).await {
        Ok(exit) => exit,
        Err(error) => report(&error, json, &mut context.io),
    }
}

async fn dispatch(command: Command, context: &mut Context) -> Result<Exit, CliError> {
    match command {
        Command::List(args) => list::run(args, context).await,
        Command::Approve(args) => approve::run(args, context).await,
        Command::Reject(args) => reject::run(args, context).await,
        Command::Revoke(args) => revoke::run(args, context).await,
        Command::Block(args) => block::run(args, context).await,
        Command::Unblock(args) => unblock::run(args, context).await,
        Command::Seed(args) => seed::run(args, context).await,
        Command::Forget(args) => forget::run(args, context).await,
        Command::ForgetMode(args) => forget_mode::run(args, context).await,
        Command::ForgetAdapter(args) => forget_adapter::run(args, context).await,
        Command::Explain(args) => explain::run(args, context).await,
        Command::Log(args) => log::run(args, context).await,
        Command::Unlock(args) => unlock::run(args, context).await,
        Command::Start(args) => start::run(args, context).await,
        Command::Cancel(args) => cancel::run(args, context).await,
        Command::Keys(args) => keys::run(args, context).await,
        Command::Serve(args) => serve::run(args, context).await,
        Command::Gate(args) => gate::run(args, context).await,
        Command::Claim(args) => claim::run(args, context).await,
        Command::Decode(args) => decode::run(args, context).await,
        Command::Devices(args) => devices::run(args, context).await,
        Command::Config(args) => config::run(&args, context),
        Command::Doctor(args) => doctor::run(&args, context).await,
        Command::Backup(args) => backup::run(args, context).await,
        Command::Completions(args) => completions::run(&args, context),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_contradicts_itself_nowhere() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_says_more_than_its_options() {
        fn check(command: &clap::Command) {
            assert!(command.get_about().is_some(), "{}", command.get_name());
            assert!(command.get_after_help().is_some(), "{} has no example", command.get_name());
            command.get_subcommands().for_each(check);
        }
        Cli::command().get_subcommands().for_each(check);
    }

    #[test]
    fn a_run_can_be_spawned() {
        fn is_send(_: &impl Send) {}
        let cli = Cli::try_parse_from(["nexo-pair", "list"]).unwrap();
        is_send(&run(cli, Io::standard()));
    }
}
