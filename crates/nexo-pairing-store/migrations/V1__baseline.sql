-- The schema of nexo-pairing 0.1.8, so that its file is taken over in place.

CREATE TABLE IF NOT EXISTS pairing_pending (
    channel    TEXT NOT NULL,
    account_id TEXT NOT NULL,
    sender_id  TEXT NOT NULL,
    code       TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    meta_json  TEXT NOT NULL DEFAULT '{}',
    PRIMARY KEY (channel, account_id, sender_id)
);

CREATE INDEX IF NOT EXISTS idx_pairing_pending_code ON pairing_pending(code);

CREATE TABLE IF NOT EXISTS pairing_allow_from (
    channel      TEXT NOT NULL,
    account_id   TEXT NOT NULL,
    sender_id    TEXT NOT NULL,
    approved_at  INTEGER NOT NULL,
    approved_via TEXT NOT NULL DEFAULT 'cli',
    revoked_at   INTEGER,
    PRIMARY KEY (channel, account_id, sender_id)
);
