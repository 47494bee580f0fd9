//! The process: what it gives up before it reads anything, as it has secrets in memory and in files and
//! needs nothing of this; and its threads.

use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, setrlimit, umask};

use crate::error::CliError;

/// Makes new files and folders their owner's alone, whatever umask it was started with, leaves no core
/// dumps, lets no other process of the user look into it, and gains no rights by what it might start.
///
/// It is for the whole process, so programs that embed the commands decide for themselves.
pub(crate) fn restrict() {
    // One that takes from the owner, too, would keep us from what we have just made.
    umask(Mode::RWXG | Mode::RWXO);
    // None of it is worth not to run: where the system refuses, it is as it would have been.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        use rustix::thread::set_no_new_privs;

        // The limit above is not for core dumps that the system hands to a program.
        let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
        let _ = set_no_new_privs(true);
    }
}

/// Starts a thread.
pub(crate) fn start_thread(
    name: &str,
    work: impl FnOnce() + Send + 'static,
) -> Result<(), CliError> {
    let started = std::thread::Builder::new().name(name.to_owned()).spawn(work);
    started.map(drop).map_err(|source| CliError::Io { what: "start a thread".to_owned(), source })
}
