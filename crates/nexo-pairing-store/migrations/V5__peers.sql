-- Peer addresses of claims and sessions, repeated claims as counters on the used setup code, and the
-- columns and indexes by which `log` finds entries. Times are UTC seconds; an address is text, NULL
-- where it is not known.

-- A replay is a claim by another client than the first; a reissue is one with the same claim id.
-- The entry in the audit log that covers the newest of them says how many came since the one before.
ALTER TABLE pairing_redemptions ADD COLUMN peer TEXT;              -- of the first claim
ALTER TABLE pairing_redemptions ADD COLUMN replays INTEGER NOT NULL DEFAULT 0;
ALTER TABLE pairing_redemptions ADD COLUMN last_replay_at INTEGER;
ALTER TABLE pairing_redemptions ADD COLUMN last_replay_peer TEXT;
ALTER TABLE pairing_redemptions ADD COLUMN replays_audited INTEGER NOT NULL DEFAULT 0;
ALTER TABLE pairing_redemptions ADD COLUMN replays_audited_at INTEGER;
ALTER TABLE pairing_redemptions ADD COLUMN reissues INTEGER NOT NULL DEFAULT 0;
ALTER TABLE pairing_redemptions ADD COLUMN last_reissue_at INTEGER;
ALTER TABLE pairing_redemptions ADD COLUMN last_reissue_peer TEXT;
ALTER TABLE pairing_redemptions ADD COLUMN reissues_audited INTEGER NOT NULL DEFAULT 0;
ALTER TABLE pairing_redemptions ADD COLUMN reissues_audited_at INTEGER;
CREATE INDEX pairing_redemptions_unaudited ON pairing_redemptions(nonce)
    WHERE replays > replays_audited OR reissues > reissues_audited;

ALTER TABLE pairing_sessions ADD COLUMN claim_peer TEXT;
ALTER TABLE pairing_sessions ADD COLUMN last_peer TEXT;
CREATE INDEX pairing_sessions_label ON pairing_sessions(device_label);

ALTER TABLE pairing_audit ADD COLUMN session_id TEXT;
ALTER TABLE pairing_audit ADD COLUMN device_label TEXT;
UPDATE pairing_audit
    SET session_id = json_extract(detail_json, '$.session'),
        device_label = json_extract(detail_json, '$.device_label')
    WHERE json_valid(detail_json)
        AND action IN ('session_issued', 'session_reissued', 'session_ended', 'session_revoked',
            'replay');

CREATE INDEX pairing_audit_at ON pairing_audit(at);
CREATE INDEX pairing_audit_action ON pairing_audit(action, at);
CREATE INDEX pairing_audit_sender ON pairing_audit(sender_id) WHERE sender_id IS NOT NULL;
CREATE INDEX pairing_audit_session ON pairing_audit(session_id) WHERE session_id IS NOT NULL;
CREATE INDEX pairing_audit_label ON pairing_audit(device_label, session_id)
    WHERE device_label IS NOT NULL;
