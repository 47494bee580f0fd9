-- What the gate needs beyond 0.1.8. Times are UTC seconds. Columns are only added, with defaults,
-- so that 0.1.8 can still read and write its two tables.

ALTER TABLE pairing_pending ADD COLUMN expires_at INTEGER;         -- NULL: created_at + 3600
ALTER TABLE pairing_pending ADD COLUMN last_challenged_at INTEGER; -- NULL: created_at

-- Two processes of 0.1.8 could draw the same code; only one request can be meant by it.
DELETE FROM pairing_pending
    WHERE rowid NOT IN (SELECT min(rowid) FROM pairing_pending GROUP BY code);
DROP INDEX idx_pairing_pending_code;
CREATE UNIQUE INDEX idx_pairing_pending_code ON pairing_pending(code);

ALTER TABLE pairing_allow_from ADD COLUMN revoked_via TEXT;
ALTER TABLE pairing_allow_from ADD COLUMN expires_at INTEGER;      -- NULL: for good
ALTER TABLE pairing_allow_from ADD COLUMN note TEXT;
CREATE INDEX pairing_allow_from_expiring ON pairing_allow_from(expires_at)
    WHERE expires_at IS NOT NULL AND revoked_at IS NULL;
CREATE INDEX pairing_allow_from_sender ON pairing_allow_from(sender_id, channel);

CREATE TABLE pairing_blocked (
    channel     TEXT NOT NULL,
    account_id  TEXT NOT NULL,                                     -- '*': all, also future ones
    sender_id   TEXT NOT NULL,
    blocked_at  INTEGER NOT NULL,
    blocked_via TEXT NOT NULL,
    reason      TEXT,
    PRIMARY KEY (channel, account_id, sender_id)
);

-- What became of a code: for honest answers, and for who has to wait for his next one.
CREATE TABLE pairing_finished (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    code       TEXT NOT NULL,
    outcome    TEXT NOT NULL CHECK (outcome IN ('approved', 'rejected', 'expired', 'blocked')),
    at         INTEGER NOT NULL,
    channel    TEXT NOT NULL,
    account_id TEXT NOT NULL,
    sender_id  TEXT NOT NULL,
    strikes    INTEGER NOT NULL DEFAULT 0                          -- expiries in a row
);
CREATE INDEX pairing_finished_code ON pairing_finished(code);
CREATE INDEX pairing_finished_sender ON pairing_finished(sender_id, channel, account_id);

CREATE TABLE pairing_attempts (
    actor TEXT NOT NULL,
    at    INTEGER NOT NULL,
    kind  TEXT NOT NULL CHECK (kind IN ('unknown', 'mistyped', 'lockout'))
);
CREATE INDEX pairing_attempts_actor ON pairing_attempts(actor, at);

CREATE TABLE pairing_audit (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    at          INTEGER NOT NULL,
    actor       TEXT NOT NULL,
    action      TEXT NOT NULL,
    channel     TEXT,
    account_id  TEXT,
    sender_id   TEXT,
    detail_json TEXT NOT NULL DEFAULT 'null'
);

-- The keys that changed, in order: written by the triggers below whoever the writer is (0.1.8 and
-- the sqlite3 shell included), read by the gates that mirror the lists, trimmed now and then.
CREATE TABLE pairing_changes (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    kind       TEXT NOT NULL,
    channel    TEXT NOT NULL,
    account_id TEXT NOT NULL,
    sender_id  TEXT NOT NULL
);

CREATE TRIGGER pairing_pending_inserted AFTER INSERT ON pairing_pending BEGIN
    INSERT INTO pairing_changes(kind, channel, account_id, sender_id)
        VALUES ('pending', NEW.channel, NEW.account_id, NEW.sender_id);
END;
CREATE TRIGGER pairing_pending_updated AFTER UPDATE ON pairing_pending BEGIN
    INSERT INTO pairing_changes(kind, channel, account_id, sender_id)
        VALUES ('pending', OLD.channel, OLD.account_id, OLD.sender_id);
    INSERT INTO pairing_changes(kind, channel, account_id, sender_id)
        SELECT 'pending', NEW.channel, NEW.account_id, NEW.sender_id
        WHERE (NEW.channel, NEW.account_id, NEW.sender_id)
            IS NOT (OLD.channel, OLD.account_id, OLD.sender_id);
END;
CREATE TRIGGER pairing_pending_deleted AFTER DELETE ON pairing_pending BEGIN
    INSERT INTO pairing_changes(kind, channel, account_id, sender_id)
        VALUES ('pending', OLD.channel, OLD.account_id, OLD.sender_id);
END;

CREATE TRIGGER pairing_allow_from_inserted AFTER INSERT ON pairing_allow_from BEGIN
    INSERT INTO pairing_changes(kind, channel, account_id, sender_id)
        VALUES ('allow', NEW.channel, NEW.account_id, NEW.sender_id);
END;
CREATE TRIGGER pairing_allow_from_updated AFTER UPDATE ON pairing_allow_from BEGIN
    INSERT INTO pairing_changes(kind, channel, account_id, sender_id)
        VALUES ('allow', OLD.channel, OLD.account_id, OLD.sender_id);
    INSERT INTO pairing_changes(kind, channel, account_id, sender_id)
        SELECT 'allow', NEW.channel, NEW.account_id, NEW.sender_id
        WHERE (NEW.channel, NEW.account_id, NEW.sender_id)
            IS NOT (OLD.channel, OLD.account_id, OLD.sender_id);
END;
CREATE TRIGGER pairing_allow_from_deleted AFTER DELETE ON pairing_allow_from BEGIN
    INSERT INTO pairing_changes(kind, channel, account_id, sender_id)
        VALUES ('allow', OLD.channel, OLD.account_id, OLD.sender_id);
END;

-- 0.1.8 knows no expiry: a grant that it revives, or approves after its end, is for good.
CREATE TRIGGER pairing_allow_from_revived AFTER UPDATE ON pairing_allow_from
WHEN NEW.expires_at IS NOT NULL AND NEW.expires_at IS OLD.expires_at AND NEW.revoked_at IS NULL
    AND (OLD.revoked_at IS NOT NULL
        OR (NEW.approved_at IS NOT OLD.approved_at AND NEW.approved_at >= NEW.expires_at))
BEGIN
    UPDATE pairing_allow_from SET expires_at = NULL, revoked_via = NULL
        WHERE channel = NEW.channel AND account_id = NEW.account_id AND sender_id = NEW.sender_id;
END;

CREATE TRIGGER pairing_blocked_inserted AFTER INSERT ON pairing_blocked BEGIN
    INSERT INTO pairing_changes(kind, channel, account_id, sender_id)
        VALUES ('blocked', NEW.channel, NEW.account_id, NEW.sender_id);
END;
CREATE TRIGGER pairing_blocked_updated AFTER UPDATE ON pairing_blocked BEGIN
    INSERT INTO pairing_changes(kind, channel, account_id, sender_id)
        VALUES ('blocked', OLD.channel, OLD.account_id, OLD.sender_id);
    INSERT INTO pairing_changes(kind, channel, account_id, sender_id)
        SELECT 'blocked', NEW.channel, NEW.account_id, NEW.sender_id
        WHERE (NEW.channel, NEW.account_id, NEW.sender_id)
            IS NOT (OLD.channel, OLD.account_id, OLD.sender_id);
END;
CREATE TRIGGER pairing_blocked_deleted AFTER DELETE ON pairing_blocked BEGIN
    INSERT INTO pairing_changes(kind, channel, account_id, sender_id)
        VALUES ('blocked', OLD.channel, OLD.account_id, OLD.sender_id);
END;

CREATE TRIGGER pairing_finished_inserted AFTER INSERT ON pairing_finished BEGIN
    INSERT INTO pairing_changes(kind, channel, account_id, sender_id)
        VALUES ('finished', NEW.channel, NEW.account_id, NEW.sender_id);
END;
CREATE TRIGGER pairing_finished_updated AFTER UPDATE ON pairing_finished BEGIN
    INSERT INTO pairing_changes(kind, channel, account_id, sender_id)
        VALUES ('finished', OLD.channel, OLD.account_id, OLD.sender_id);
    INSERT INTO pairing_changes(kind, channel, account_id, sender_id)
        SELECT 'finished', NEW.channel, NEW.account_id, NEW.sender_id
        WHERE (NEW.channel, NEW.account_id, NEW.sender_id)
            IS NOT (OLD.channel, OLD.account_id, OLD.sender_id);
END;
CREATE TRIGGER pairing_finished_deleted AFTER DELETE ON pairing_finished BEGIN
    INSERT INTO pairing_changes(kind, channel, account_id, sender_id)
        VALUES ('finished', OLD.channel, OLD.account_id, OLD.sender_id);
END;
