//! Hardening of the process, which has secrets in memory and in files; and its threads.

use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, setrlimit, umask};

use crate::{CliError, Result};

/// Makes new files and folders private to their owner, disables core dumps, marks the process
/// non-dumpable, and sets `no_new_privs`.
///
/// This applies to the whole process, so programs that embed the commands decide for themselves.
pub(crate) fn restrict() {
    // A umask that also masks the owner would lock us out of our own files.
    umask(Mode::RWXG | Mode::RWXO);
    // Failures are ignored: none of this is worth not running.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        use rustix::thread::set_no_new_privs;

        // The limit above does not apply to core dumps that the kernel pipes to a program.
        let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
        let _ = set_no_new_privs(true);
    }
}

/// Starts a thread.
pub(crate) fn start_thread(name: &str, work: impl FnOnce() + Send + 'static) -> Result {
    let started = std::thread::Builder::new().name(name.to_owned()).spawn(work);
    started.map(drop).map_err(CliError::io("start a thread"))
}
