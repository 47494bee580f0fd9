//! Looks into the database: its schema, whether it is sound, and the clock.

use std::time::Duration;

use nexo_pairing::{Inspection, PairingError, StoreError, Validity};
use time::OffsetDateTime;

use super::installation::Installation;
use super::paths::word;
use super::report::Finding;
use crate::error::CliError;
use crate::text::format_time;

/// A time stamp may be so far ahead: another machine's clock, a second that is rounded.
const LEEWAY: Duration = Validity::LEEWAY;

/// Whether this program knows the schema.
pub(super) async fn schema(installation: &Installation) -> Vec<Finding> {
    let name = "schema";
    let Some((path, Ok(inspection))) = installation.inspection().await else { return Vec::new() };
    let Inspection { schema_version: found, newest_schema: known, .. } = *inspection;
    vec![if found > known {
        let newer = StoreError::Newer { path: path.to_owned(), found, known };
        Finding::error(name, &CliError::Pairing(PairingError::backend(newer)))
    } else if found < known {
        let message = format!(
            "schema {found}, the newest is {known}: the next command that writes upgrades it"
        );
        Finding::ok(name, message)
    } else {
        Finding::ok(name, format!("schema {found}"))
    }]
}

/// Whether the database is sound.
pub(super) async fn contents(installation: &Installation) -> Vec<Finding> {
    let name = "contents";
    let Some((path, inspection)) = installation.inspection().await else { return Vec::new() };
    let problems = match inspection {
        Ok(inspection) => &inspection.problems,
        Err(error) => return vec![Finding::error(name, error)],
    };
    vec![match problems.first() {
        None => Finding::ok(name, "sound"),
        Some(first) => {
            let message = format!("damaged: {first} (and {} more)", problems.len() - 1);
            let path = word(path);
            let hint = format!(
                "stop what uses it, keep a copy, and put a backup in its place: mv BACKUP {path}"
            );
            Finding::fail(name, message, hint)
        }
    }]
}

/// Whether something that is stored is later than now.
pub(super) async fn clock(installation: &Installation) -> Vec<Finding> {
    let Some((_, Ok(inspection))) = installation.inspection().await else { return Vec::new() };
    inspection.newest_row.map(|newest| set_back(installation.now, newest)).into_iter().collect()
}

fn set_back(now: OffsetDateTime, newest: OffsetDateTime) -> Finding {
    if newest > now + LEEWAY {
        let message = format!(
            "the clock says {}, but something was stored at {}: what is from the future counts as \
             expired",
            format_time(now),
            format_time(newest)
        );
        Finding::warn("clock", message, "set the clock: timedatectl status")
    } else {
        Finding::ok("clock", format!("later than what is stored, at {}", format_time(now)))
    }
}

#[cfg(test)]
mod tests {
    use nexo_pairing::config::Sources;

    use super::super::installation::DoctorOptions;
    use super::super::report::Status;
    use super::*;

    #[test]
    fn a_clock_that_was_set_back_is_told() {
        let now = OffsetDateTime::UNIX_EPOCH + Duration::from_secs(20_000 * 86_400);
        assert_eq!(set_back(now, now).status, Status::Ok);
        assert_eq!(set_back(now, now + LEEWAY).status, Status::Ok);
        assert_eq!(set_back(now, now + Duration::from_hours(1)).status, Status::Warn);
    }

    #[tokio::test]
    async fn what_is_no_database_is_told_and_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pairing.db");
        std::fs::write(&path, "not a database, but long enough to be looked at".repeat(50))
            .unwrap();
        let before = std::fs::read(&path).unwrap();
        let sources =
            Sources::from_vars([("NEXO_HOME", folder.path())]).with_db(Some(path.clone()));
        let installation = Installation::read(&DoctorOptions::new(sources));
        assert!(installation.view().await.is_none());
        let findings = contents(&installation).await;
        assert_eq!(findings[0].status, Status::Fail);
        assert!(findings[0].hint.is_some());
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }
}
