//! Configuration of a store.

use std::sync::Arc;
use std::time::Duration;

use derive_setters::Setters;
use nexo_pairing_core::limits::AUDIT_DAYS;
use nexo_pairing_core::{Clock, OsRandom, RandomSource, SystemClock};

/// The configuration of a store, besides its path.
#[derive(Debug, Clone, Setters)]
#[setters(prefix = "with_")]
#[non_exhaustive]
pub struct StoreOptions {
    /// The source of time. Default: the operating system.
    pub clock: Arc<dyn Clock>,
    /// The source of randomness for codes. Default: the operating system.
    pub random: Arc<dyn RandomSource>,
    /// Whether to keep a copy of the file, beside it as `<database>.before-v4`, before an upgrade to a
    /// schema that the version which wrote it cannot read. Not for a file of 0.1.8, which can still use
    /// it. Default `true`.
    pub copy_before_upgrade: bool,
    /// For how many days the audit log is kept, within [`AUDIT_DAYS`], which has the default.
    pub audit_days: u32,
    /// How often the file is polled for external changes, once a replica is subscribed; at most once a
    /// millisecond. Default 10 ms.
    pub poll_interval: Duration,
    /// How often all tables by which a gate decides are checked for damage, after a first check when a
    /// replica is subscribed. Default a day.
    pub check_interval: Duration,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            clock: SystemClock::shared(),
            random: OsRandom::shared(),
            copy_before_upgrade: true,
            audit_days: AUDIT_DAYS.default,
            poll_interval: Duration::from_millis(10),
            check_interval: Duration::from_secs(86_400),
        }
    }
}
