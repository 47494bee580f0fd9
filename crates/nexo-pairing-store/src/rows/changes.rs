//! `pairing_changes`: the keys that changed, written by triggers and read by `states.rs`.

/// How many changes are kept for gates that are behind; one that finds a gap loads everything.
pub(super) const MAX_CHANGES: i64 = 10_000;

/// Deletes all but the newest `?1`.
pub(super) const TRIM: &str = "DELETE FROM pairing_changes WHERE seq IN
    (SELECT seq FROM pairing_changes
        WHERE seq <= (SELECT max(seq) FROM pairing_changes) - ?1 ORDER BY seq LIMIT ?2)";
