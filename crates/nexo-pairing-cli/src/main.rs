//! The program `nexo-pair`.

use std::process::ExitCode;

fn main() -> ExitCode {
    nexo_pairing_cli::main().into()
}
