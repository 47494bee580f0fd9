//! The command line as `clap` parses it, and the dispatch to the commands.

use clap::{Parser, Subcommand};

use crate::command::{
    approve, backup, block, cancel, claim, completions, config, decode, devices, doctor, explain,
    forget, forget_adapter, forget_mode, gate, keys, list, log, reject, revoke, seed, serve, start,
    unblock, unlock,
};
use crate::context::Global;
use crate::exit::Exit;
use crate::io::Io;
use crate::output::report;
use crate::{CliError, Context, Result};
use crate::{logging, process, usage};

/// Decides who may talk to a chat agent, and which devices may join it.
///
/// A stranger writes to the bot. The bot answers with a code, such as K7M9-PQ2X, and withholds the
/// message. The stranger passes the code on to you, and you let them in:
///
///   nexo-pair list                  who is waiting
///   nexo-pair approve K7M9-PQ2X     let them in
///   nexo-pair revoke whatsapp:+5491155556666
///
/// A companion app joins by scanning a setup code, which is valid for a minute:
///
///   nexo-pair start --public-url wss://nexo.example.com --for-device phone
///
/// A gate needs a mode in the configuration, such as `mode: pairing`, and keeps it if that is lost.
/// Try `nexo-pair gate --auto-challenge --dry-run` first: it shows who would be sent a code.
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
    /// Let in the sender with this code.
    Approve(approve::Approve),
    /// Refuse the sender with this code; they get no new one for 24 hours.
    Reject(reject::Reject),
    /// End the grants of a sender.
    Revoke(revoke::Revoke),
    /// Keep a sender out for good.
    Block(block::Block),
    /// Remove a block; does not restore revoked grants.
    Unblock(unblock::Unblock),
    /// Let in senders that you know, without a code.
    Seed(seed::Seed),
    /// Erase a person: grants, blocks and requests.
    Forget(forget::Forget),
    /// Forget the last mode of an account that the configuration no longer sets.
    ForgetMode(forget_mode::ForgetMode),
    /// Forget the plugin of a channel that is no longer in the configuration.
    ForgetAdapter(forget_adapter::ForgetAdapter),
    /// Show how the gate would decide on a sender, and by which rule.
    Explain(explain::Explain),
    /// Show the audit log: who did what, and when.
    Log(log::Log),
    /// Lift the lockout that follows too many wrong codes.
    Unlock(unlock::Unlock),
    /// Issue a setup code and show it as a QR code, for a companion to scan.
    Start(start::Start),
    /// Cancel a setup code that has not been used.
    Cancel(cancel::Cancel),
    /// List, rotate and retire the keys that sign setup codes.
    #[command(subcommand, after_help = "Example:\n  nexo-pair keys list")]
    Keys(keys::Keys),
    /// Let companions claim setup codes, and services check their sessions, over HTTP.
    Serve(serve::Serve),
    /// Decide on inbound messages: from standard input, one JSON object per line, or from NATS.
    Gate(gate::Gate),
    /// Turn a setup code into a session, as a companion app does.
    Claim(claim::Claim),
    /// Show the contents of a setup code, without using it.
    Decode(decode::Decode),
    /// List the devices that have a session, and revoke one.
    #[command(
        subcommand,
        after_help = "A device gets a session with a setup code, and keeps it by renewing it.\n\n\
        Examples:\n  nexo-pair devices list\n  nexo-pair devices revoke \"Ana's iPhone\""
    )]
    Devices(devices::Devices),
    /// Show the configuration in force, and where each value came from.
    Config(config::ShowConfig),
    /// Check the installation on this machine, and say how to fix it.
    Doctor(doctor::Doctor),
    /// Copy the database to a new file while it is in use.
    Backup(backup::Backup),
    /// Write a completion script for a shell.
    Completions(completions::Completions),
}

/// The program: parses the arguments of this process, runs the command and returns the exit status.
pub fn main() -> Exit {
    process::restrict();
    let mut io = Io::standard();
    let cli = match usage::parse(std::env::args_os(), &mut io) {
        Ok(cli) => cli,
        Err(exit) => return exit,
    };
    logging::to_stderr(cli.global.json);
    let mut builder = match cli.command {
        // Serves many clients at once, with cryptography for each.
        Command::Serve(_) => tokio::runtime::Builder::new_multi_thread(),
        _ => tokio::runtime::Builder::new_current_thread(),
    };
    let runtime = match builder.enable_all().build() {
        Ok(runtime) => runtime,
        Err(source) => {
            return report(&CliError::io("start")(source), cli.global.json, &mut io);
        }
    };
    let exit = runtime.block_on(run(cli, io));
    // A thread that waits for input must not keep the program running.
    runtime.shutdown_background();
    exit
}

/// Runs one command to its end. Results and errors are written to `io`.
///
/// Needs a Tokio runtime with time and, for `gate` and `serve`, with I/O enabled. These two handle
/// SIGINT, SIGTERM and SIGHUP from then on.
pub async fn run(cli: Cli, io: Io) -> Exit {
    let json = cli.global.json;
    let mut context = Context::new(cli.global, io);
    match dispatch(cli.command, &mut context).await {
        Ok(exit) => exit,
        Err(error) => report(&error, json, &mut context.io),
    }
}

async fn dispatch(command: Command, context: &mut Context) -> Result<Exit> {
    match command {
        Command::List(args) => list::run(args, context).await?,
        Command::Approve(args) => approve::run(args, context).await?,
        Command::Reject(args) => reject::run(args, context).await?,
        Command::Revoke(args) => revoke::run(args, context).await?,
        Command::Block(args) => block::run(args, context).await?,
        Command::Unblock(args) => unblock::run(args, context).await?,
        Command::Seed(args) => seed::run(args, context).await?,
        Command::Forget(args) => forget::run(args, context).await?,
        Command::ForgetMode(args) => forget_mode::run(args, context).await?,
        Command::ForgetAdapter(args) => forget_adapter::run(args, context).await?,
        Command::Explain(args) => explain::run(args, context).await?,
        Command::Log(args) => log::run(args, context).await?,
        Command::Unlock(args) => unlock::run(args, context).await?,
        Command::Start(args) => start::run(args, context).await?,
        Command::Cancel(args) => cancel::run(args, context).await?,
        Command::Keys(args) => keys::run(args, context).await?,
        Command::Serve(args) => serve::run(args, context).await?,
        Command::Gate(args) => return gate::run(args, context).await,
        Command::Claim(args) => claim::run(args, context).await?,
        Command::Decode(args) => decode::run(args, context).await?,
        Command::Devices(args) => devices::run(args, context).await?,
        Command::Config(_) => config::run(context)?,
        Command::Doctor(_) => return doctor::run(context).await,
        Command::Backup(args) => backup::run(args, context).await?,
        Command::Completions(args) => completions::run(&args, context)?,
    }
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_a_description_and_an_example() {
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
