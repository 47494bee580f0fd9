//! Looks into the database: its schema, whether it is sound, and the clock.

use std::path::Path;

use nexo_pairing::{Inspection, PairingError, StoreError};
use time::{Duration, OffsetDateTime};

use super::Check;
use crate::error::CliError;
use crate::text::{moment, shell_word};

/// A time stamp may be so far ahead: another machine's clock, a second that is rounded.
const LEEWAY: Duration = Duration::seconds(5);

/// Says whether the database can be used.
pub(super) async fn check(path: &Path, now: OffsetDateTime, checks: &mut Vec<Check>) -> bool {
    let inspection = match Inspection::of(path).await {
        Ok(inspection) => inspection,
        Err(error) => {
            checks.push(Check::error("contents", &CliError::Pairing(error)));
            return false;
        }
    };
    let Inspection { schema_version: found, newest_schema: known, .. } = inspection;
    checks.push(if found > known {
        let newer = StoreError::Newer { path: path.to_owned(), found, known };
        Check::error("schema", &CliError::Pairing(PairingError::backend(newer)))
    } else if found < known {
        let message = format!(
            "schema {found}, the newest is {known}: the next command that writes upgrades it"
        );
        Check::ok("schema", message)
    } else {
        Check::ok("schema", format!("schema {found}"))
    });
    let is_sound = inspection.problems.is_empty();
    checks.push(match inspection.problems.first() {
        None => Check::ok("contents", "sound"),
        Some(first) => {
            let more = inspection.problems.len() - 1;
            let message = format!("damaged: {first} (and {more} more)");
            let path = shell_word(&path.to_string_lossy());
            let mend = format!(
                "stop what uses it, keep a copy, and put a backup in its place: mv BACKUP {path}"
            );
            Check::fail("contents", message, mend)
        }
    });
    if let Some(newest) = inspection.newest_row {
        checks.push(clock(now, newest));
    }
    is_sound && found <= known
}

fn clock(now: OffsetDateTime, newest: OffsetDateTime) -> Check {
    if newest > now + LEEWAY {
        let message = format!(
            "the clock says {}, but something was stored at {}: what is from the future counts as \
             expired",
            moment(now),
            moment(newest)
        );
        Check::warn("clock", message, "set the clock: timedatectl status")
    } else {
        Check::ok("clock", format!("later than what is stored, at {}", moment(now)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Status;
    use super::*;

    #[test]
    fn a_clock_that_was_set_back_is_told() {
        let now = OffsetDateTime::UNIX_EPOCH + Duration::days(20_000);
        assert_eq!(clock(now, now).status, Status::Ok);
        assert_eq!(clock(now, now + LEEWAY).status, Status::Ok);
        assert_eq!(clock(now, now + Duration::HOUR).status, Status::Warn);
    }

    #[tokio::test]
    async fn what_is_no_database_is_told_and_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pairing.db");
        std::fs::write(&path, "not a database, but long enough to be looked at".repeat(50))
            .unwrap();
        let before = std::fs::read(&path).unwrap();
        let mut checks = Vec::new();
        assert!(!check(&path, OffsetDateTime::now_utc(), &mut checks).await);
        assert_eq!(checks[0].status, Status::Fail);
        assert!(checks[0].mend.is_some());
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }
}
