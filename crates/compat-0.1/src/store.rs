//! Grants and requests, in one SQLite file.

use std::sync::OnceLock;
use std::time::Duration;

use nexo_pairing_core as core;
use nexo_pairing_core::{AccountScope, Actor, Filter, Grant, NewRequest, Target};
use nexo_pairing_store::PairingStore as Inner;
use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};

use crate::convert::{self, invalid_id, key, refusal, stored_channel, stored_key, utc};
use crate::telemetry;
use crate::types::{AllowedSender, ApprovedRequest, PairingError, PendingRequest, UpsertOutcome};

const MEMORY: &str = ":memory:";

/// Grants and requests, in one SQLite file, which 0.1.8 and 0.2 can use at the same time.
#[derive(Debug)]
pub struct PairingStore {
    pub(crate) inner: Inner,
    path: String,
    pool: OnceLock<SqlitePool>,
}

impl PairingStore {
    /// Opens the database at `path`, and creates a missing one; `:memory:` is a store in memory.
    ///
    /// # Errors
    ///
    /// [`PairingError::Storage`] if the file is damaged, unreadable or of another kind.
    pub async fn open(path: &str) -> Result<Self, PairingError> {
        let opened = match path {
            MEMORY => Inner::open_memory().await,
            path => Inner::open(path).await,
        };
        let inner = opened.map_err(|error| PairingError::Storage(convert::with_causes(&error)))?;
        Ok(Self { inner, path: path.to_owned(), pool: OnceLock::new() })
    }

    /// A store in memory.
    ///
    /// # Errors
    ///
    /// [`PairingError::Storage`] when no thread can be started.
    pub async fn open_memory() -> Result<Self, PairingError> {
        Self::open(MEMORY).await
    }

    /// Adds a request, or finds the one of this sender. Expired ones are deleted first. Metadata of more
    /// than 4 KiB is left out.
    ///
    /// # Errors
    ///
    /// [`PairingError::MaxPending`] when there are too many requests; [`PairingError::Invalid`] for an
    /// invalid id, and for a sender who is allowed, blocked, or has to wait.
    pub async fn upsert_pending(
        &self,
        channel: &str,
        account_id: &str,
        sender_id: &str,
        meta: serde_json::Value,
    ) -> Result<UpsertOutcome, PairingError> {
        let key = key(channel, account_id, sender_id)?;
        self.purge_expired().await?;
        let mut request = NewRequest::new(key).with_cooldown(Duration::ZERO);
        if meta.to_string().len() <= core::limits::MAX_META_BYTES {
            request = request.with_meta(meta);
        }
        use core::UpsertOutcome as Outcome;
        let (code, created) = match self.inner.upsert_pending(request).await.map_err(refusal)? {
            Outcome::Created { code, .. } => (code, true),
            Outcome::Repeated { code, .. } => (code, false),
            Outcome::PendingFull => {
                let (channel, account_id) = (channel.to_owned(), account_id.to_owned());
                return Err(PairingError::MaxPending { channel, account_id });
            }
            Outcome::Allowed => return Err(PairingError::Invalid("the sender is allowed already")),
            Outcome::Blocked => return Err(PairingError::Invalid("the sender is blocked")),
            _ => return Err(PairingError::Invalid("the sender has to wait for another code")),
        };
        if created {
            self.measure_pending(channel).await?;
        }
        Ok(UpsertOutcome { code: code.as_str().to_owned(), created })
    }

    /// The live requests, of one channel or of all, oldest first.
    ///
    /// # Errors
    ///
    /// [`PairingError::Storage`] when the store fails.
    pub async fn list_pending(
        &self,
        channel: Option<&str>,
    ) -> Result<Vec<PendingRequest>, PairingError> {
        let pending = self.inner.list_pending(&filter(channel)).await.map_err(refusal)?;
        let mut pending: Vec<PendingRequest> = pending
            .into_iter()
            .map(|request| PendingRequest {
                channel: request.channel.to_string(),
                account_id: request.account_id.to_string(),
                sender_id: request.sender_id.to_string(),
                code: request.code.as_str().to_owned(),
                created_at: utc(request.created_at),
                meta: request.meta,
            })
            .collect();
        pending.sort_by_key(|request| request.created_at);
        Ok(pending)
    }

    /// The grants, of one channel or of all, by channel, account and sender; with `include_revoked` also
    /// those that ended.
    ///
    /// # Errors
    ///
    /// [`PairingError::Storage`] when the store fails.
    pub async fn list_allow(
        &self,
        channel: Option<&str>,
        include_revoked: bool,
    ) -> Result<Vec<AllowedSender>, PairingError> {
        let allowed = self.inner.list_allow(&filter(channel), include_revoked).await;
        let allowed = allowed.map_err(refusal)?.into_iter();
        Ok(allowed
            .map(|grant| AllowedSender {
                channel: grant.channel.to_string(),
                account_id: grant.account_id.to_string(),
                sender_id: grant.sender_id.to_string(),
                approved_at: utc(grant.approved_at),
                approved_via: grant.approved_via.to_string(),
                revoked_at: grant.revoked_at.map(utc),
            })
            .collect())
    }

    /// Approves the request that has this code, as `cli`.
    ///
    /// # Errors
    ///
    /// [`PairingError::UnknownCode`] and [`PairingError::Expired`]; [`PairingError::Invalid`] after too
    /// many wrong codes, or when the sender is blocked.
    pub async fn approve(&self, code_value: &str) -> Result<ApprovedRequest, PairingError> {
        let approved = match self.inner.approve(code_value, &Actor::cli(), Grant::unlimited()).await
        {
            Ok(approved) => approved,
            Err(error) => return Err(self.not_approved(error).await),
        };
        let channel = approved.channel.to_string();
        telemetry::inc_approvals(&channel, "ok");
        self.measure_pending(&channel).await?;
        Ok(ApprovedRequest {
            channel,
            account_id: approved.account_id.to_string(),
            sender_id: approved.sender_id.to_string(),
            approved_at: utc(approved.approved_at),
        })
    }

    async fn not_approved(&self, error: core::PairingError) -> PairingError {
        if let core::PairingError::Expired { key, .. } = &error {
            telemetry::inc_approvals(key.channel.as_str(), "expired");
            telemetry::add_codes_expired(1);
            if let Err(error) = self.measure_pending(key.channel.as_str()).await {
                return error;
            }
        }
        let error = refusal(error);
        if matches!(error, PairingError::UnknownCode) {
            telemetry::inc_approvals("", "not_found");
        }
        error
    }

    /// Ends the grants of a sender on all accounts of a channel; `false` if there were none.
    ///
    /// # Errors
    ///
    /// [`PairingError::Storage`] when the store fails.
    pub async fn revoke(&self, channel: &str, sender_id: &str) -> Result<bool, PairingError> {
        let sender = core::SenderId::from_stored(sender_id.to_owned());
        let target = Target::new(stored_channel(channel), AccountScope::All, sender);
        let revoked = self.inner.revoke(&target, &Actor::cli()).await.map_err(refusal)?;
        Ok(!revoked.is_empty())
    }

    /// Whether a sender has a grant on this account.
    ///
    /// # Errors
    ///
    /// [`PairingError::Storage`] when the store fails.
    pub async fn is_allowed(
        &self,
        channel: &str,
        account_id: &str,
        sender_id: &str,
    ) -> Result<bool, PairingError> {
        let key = stored_key(channel, account_id, sender_id);
        self.inner.is_allowed(&key).await.map_err(refusal)
    }

    /// Grants access to all of these senders, or to none if one of them is invalid or blocked. Returns how
    /// many there are.
    ///
    /// # Errors
    ///
    /// [`PairingError::Invalid`] for an invalid id and for a blocked sender.
    pub async fn seed(
        &self,
        channel: &str,
        account_id: &str,
        sender_ids: &[String],
    ) -> Result<usize, PairingError> {
        let parse = || {
            let senders = sender_ids.iter().map(|id| core::SenderId::parse(id));
            let senders = senders.collect::<Result<Vec<_>, _>>()?;
            Ok((core::ChannelId::parse(channel)?, core::AccountId::parse(account_id)?, senders))
        };
        let (channel, account, senders) = parse().map_err(invalid_id)?;
        self.inner.seed(&channel, &account, &senders, &Actor::seed()).await.map_err(refusal)?;
        self.measure_pending(channel.as_str()).await?;
        Ok(senders.len())
    }

    /// A pool on the same file, for tests; for a store in memory, on an empty database. Call it within a
    /// Tokio runtime.
    #[doc(hidden)]
    pub fn pool_for_test(&self) -> &SqlitePool {
        self.pool.get_or_init(|| {
            let file = SqliteConnectOptions::new().filename(&self.path);
            SqlitePoolOptions::new().max_connections(1).connect_lazy_with(file)
        })
    }

    /// Sets the gauges of pending requests from the store.
    ///
    /// # Errors
    ///
    /// [`PairingError::Storage`] when the store fails.
    pub async fn refresh_pending_gauge(&self) -> Result<(), PairingError> {
        let pending = self.list_pending(None).await?;
        let channels = pending.iter().map(|request| request.channel.clone());
        for channel in telemetry::pending_channels().into_iter().chain(channels) {
            let live = pending.iter().filter(|request| request.channel == channel).count();
            telemetry::set_requests_pending(&channel, live.try_into().unwrap_or(i64::MAX));
        }
        Ok(())
    }

    /// Deletes the requests that expired, and returns how many.
    ///
    /// # Errors
    ///
    /// [`PairingError::Storage`] when the store fails.
    pub async fn purge_expired(&self) -> Result<u64, PairingError> {
        let expired = self.inner.purge_expired().await.map_err(refusal)?;
        if expired > 0 {
            telemetry::add_codes_expired(expired);
            self.refresh_pending_gauge().await?;
        }
        Ok(expired)
    }

    /// The code of the live request of a sender.
    pub(crate) async fn live_code(
        &self,
        channel: &str,
        account_id: &str,
        sender_id: &str,
    ) -> Result<Option<String>, core::PairingError> {
        let filter = Filter::from(&stored_key(channel, account_id, sender_id));
        let found = self.inner.list_pending(&filter).await?.into_iter().next();
        Ok(found.map(|request| request.code.as_str().to_owned()))
    }

    /// Sets the gauge of one channel.
    pub(crate) async fn measure_pending(&self, channel: &str) -> Result<(), PairingError> {
        let live = self.inner.list_pending(&filter(Some(channel))).await.map_err(refusal)?.len();
        telemetry::set_requests_pending(channel, live.try_into().unwrap_or(i64::MAX));
        Ok(())
    }
}

fn filter(channel: Option<&str>) -> Filter {
    channel.map_or_else(Filter::all, |channel| Filter::all().with_channel(stored_channel(channel)))
}
