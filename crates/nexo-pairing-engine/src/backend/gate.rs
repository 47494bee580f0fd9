//! [`GateBackend`] by the operations of the engine.

use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use nexo_pairing_core::{GateBackend, NewRequest, PairingError, Replica, SenderKey, UpsertOutcome};

use crate::storage::{Caller, Storage};
use crate::tx::Tx;
use crate::{PairingEngine, request};

#[async_trait]
impl<S: Storage> GateBackend for PairingEngine<S> {
    async fn upsert_pending(&self, request: NewRequest) -> Result<UpsertOutcome, PairingError> {
        let random = Arc::clone(self.random());
        self.write(Caller::Stranger, move |tx| request::upsert(tx, &request, &*random)).await
    }

    async fn challenge_undelivered(
        &self,
        key: &SenderKey,
        cooldown: Duration,
        retry_after: Duration,
    ) -> Result<(), PairingError> {
        let key = key.clone();
        let undelivered =
            move |tx: &mut Tx<'_>| request::undelivered(tx, &key, cooldown, retry_after);
        self.write(Caller::Stranger, undelivered).await
    }

    fn subscribe(&self, replica: Weak<dyn Replica>) {
        self.storage().subscribe(replica);
    }

    async fn refresh(&self) -> Result<(), PairingError> {
        self.storage().refresh().await
    }
}
