//! Checks the contents of the database: the schema, the integrity, and the clock.

use std::time::Duration;

use nexo_pairing::core::Validity;
use nexo_pairing::store::Inspection;
use nexo_pairing::{StoreError, StoreErrorKind};
use time::OffsetDateTime;

use super::installation::Installation;
use super::paths::word;
use super::report::Finding;
use crate::text::format_time;

/// How far ahead a time stamp may be: the clock of another machine, a rounded second.
const LEEWAY: Duration = Validity::LEEWAY;

/// Whether this program supports the schema.
pub(super) async fn schema(installation: &Installation) -> Vec<Finding> {
    let name = "schema";
    let Some((path, Ok(inspection))) = installation.inspection().await else { return Vec::new() };
    let Inspection { schema_version: found, newest_schema: known, .. } = *inspection;
    vec![if found > known {
        let newer = StoreErrorKind::Newer { found, known };
        Finding::error(name, &StoreError::new(newer, path).into())
    } else if found < known {
        let message = format!(
            "schema {found}, the newest is {known}: the next command that writes upgrades it"
        );
        Finding::ok(name, message)
    } else {
        Finding::ok(name, format!("schema {found}"))
    }]
}

/// Whether the database is intact.
pub(super) async fn contents(installation: &Installation) -> Vec<Finding> {
    let name = "contents";
    let Some((path, inspection)) = installation.inspection().await else { return Vec::new() };
    let problems = match inspection {
        Ok(inspection) => &inspection.problems,
        Err(error) => return vec![Finding::error(name, error)],
    };
    vec![match problems.first() {
        None => Finding::ok(name, "intact"),
        Some(first) => {
            let message = format!("damaged: {first} (and {} more)", problems.len() - 1);
            let path = word(path);
            let hint = format!(
                "stop the processes that use it, keep a copy, and restore a backup: mv BACKUP {path}"
            );
            Finding::fail(name, message, hint)
        }
    }]
}

/// Whether a stored time is in the future.
pub(super) async fn clock(installation: &Installation) -> Vec<Finding> {
    let Some((_, Ok(inspection))) = installation.inspection().await else { return Vec::new() };
    inspection.newest_row.map(|newest| set_back(installation.now, newest)).into_iter().collect()
}

fn set_back(now: OffsetDateTime, newest: OffsetDateTime) -> Finding {
    if newest > now + LEEWAY {
        let message = format!(
            "the clock says {}, but something was stored at {}: entries from the future count as \
             expired",
            format_time(now),
            format_time(newest)
        );
        Finding::warn("clock", message, "set the clock: timedatectl status")
    } else {
        Finding::ok("clock", format!("later than every stored time, at {}", format_time(now)))
    }
}

#[cfg(test)]
mod tests {
    use nexo_pairing::config::Sources;

    use super::super::installation::DoctorOptions;
    use super::super::report::Status;
    use super::*;

    #[test]
    fn a_clock_that_was_set_back_is_reported() {
        let now = OffsetDateTime::UNIX_EPOCH + Duration::from_secs(20_000 * 86_400);
        assert_eq!(set_back(now, now).status, Status::Ok);
        assert_eq!(set_back(now, now + LEEWAY).status, Status::Ok);
        assert_eq!(set_back(now, now + Duration::from_hours(1)).status, Status::Warn);
    }

    #[tokio::test]
    async fn a_file_that_is_not_a_database_is_reported_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pairing.db");
        std::fs::write(&path, "not a database, but long enough to be inspected".repeat(50))
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
