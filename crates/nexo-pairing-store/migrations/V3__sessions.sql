-- Sessions of companion devices, and which setup codes were used for them. Times are UTC seconds.
-- Of a token and of a claim id there is only the SHA-256. No triggers: a session is read from here
-- whenever it is checked.

-- A setup code that was used, or cancelled. Its session may be gone by now, so nothing refers to it.
CREATE TABLE pairing_redemptions (
    nonce           TEXT PRIMARY KEY NOT NULL,
    session_id      TEXT,                                          -- NULL: cancelled
    claim_id_sha256 BLOB,                                          -- NULL: none was given
    redeemed_at     INTEGER NOT NULL,
    expires_at      INTEGER NOT NULL                               -- of the setup code
);

CREATE TABLE pairing_sessions (
    id           TEXT PRIMARY KEY NOT NULL,
    token_sha256 BLOB NOT NULL UNIQUE,
    profile      TEXT NOT NULL,
    device_label TEXT,
    issued_at    INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    renew_until  INTEGER NOT NULL,                                 -- as far as expires_at may go
    last_seen_at INTEGER,
    revoked_at   INTEGER,
    revoked_via  TEXT                                              -- an actor, or 'replay'
);
