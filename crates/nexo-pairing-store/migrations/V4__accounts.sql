-- The modes that were last in force and were said in words, which accounts were named, and which channels
-- have their adapter in another process, so that a configuration that is lost widens nothing. Times are
-- UTC seconds.

CREATE TABLE pairing_accounts (
    channel    TEXT NOT NULL,                -- '*' with the account '*': those without their own mode
    account_id TEXT NOT NULL,
    mode       TEXT,                         -- NULL: none of its own
    said_by    TEXT,                         -- a file, a variable or a flag
    said_at    INTEGER NOT NULL,
    named      INTEGER NOT NULL,             -- of '*': whether only named accounts are known
    forgotten  INTEGER NOT NULL DEFAULT 0,   -- whether `forget-mode` was the last word on it
    PRIMARY KEY (channel, account_id)
);

CREATE TABLE pairing_adapters (
    channel    TEXT NOT NULL PRIMARY KEY,    -- served by the adapter of another process
    said_by    TEXT NOT NULL,                -- a file or a variable
    said_at    INTEGER NOT NULL
);
