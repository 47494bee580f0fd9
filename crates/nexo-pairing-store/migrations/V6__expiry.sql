-- Indexes by which what is over is found, so that neither a crowd of requests nor a long list of
-- sessions is read through with each write.

-- When a request ends, as every statement computes it: 0.1.8 stores no end.
CREATE INDEX pairing_pending_expiry ON pairing_pending(coalesce(expires_at, created_at + 3600));
-- Requests from the future, made by a clock that was set back since.
CREATE INDEX pairing_pending_created ON pairing_pending(created_at);

CREATE INDEX pairing_sessions_expiry ON pairing_sessions(expires_at);
