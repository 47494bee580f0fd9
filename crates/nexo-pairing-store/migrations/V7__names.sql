-- Whether a device named itself. The operator's name for it stands in the setup code.
ALTER TABLE pairing_sessions ADD COLUMN named_by_device INTEGER NOT NULL DEFAULT 0;
