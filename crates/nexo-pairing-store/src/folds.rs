//! Lists that may be too long to be kept in memory, one row after the other.

use nexo_pairing_core::{AllowedSender, BlockedSender, Filter, PairingError};

use crate::PairingStore;
use crate::op::list;

impl PairingStore {
    /// [`list_allow`](Self::list_allow), one grant after the other, in the
    /// order of channel, account and sender: each is given to `fold` with the state, on the thread that
    /// reads, where it must not wait long. Returns the state.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] when the store fails.
    pub async fn fold_allow<T: Send + 'static>(
        &self,
        filter: &Filter,
        include_revoked: bool,
        mut state: T,
        mut fold: impl FnMut(&mut T, AllowedSender) + Send + 'static,
    ) -> Result<T, PairingError> {
        let filter = filter.clone();
        let folded = self.read(move |connection, now| {
            let each = |grant| fold(&mut state, grant);
            list::each_allowed(connection, &filter, include_revoked, now, each)?;
            Ok(state)
        });
        folded.await
    }

    /// [`list_blocked`](Self::list_blocked), one block after the other, as
    /// [`fold_allow`](Self::fold_allow).
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] when the store fails.
    pub async fn fold_blocked<T: Send + 'static>(
        &self,
        filter: &Filter,
        mut state: T,
        mut fold: impl FnMut(&mut T, BlockedSender) + Send + 'static,
    ) -> Result<T, PairingError> {
        let filter = filter.clone();
        let folded = self.read(move |connection, _| {
            list::each_blocked(connection, &filter, |block| fold(&mut state, block))?;
            Ok(state)
        });
        folded.await
    }

    /// The grants that [`list_allow`](Self::list_allow) returns, one after the other.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] when the store fails.
    pub async fn visit_allow(
        &self,
        filter: &Filter,
        include_revoked: bool,
        mut each: Box<dyn FnMut(AllowedSender) + Send>,
    ) -> Result<(), PairingError> {
        self.fold_allow(filter, include_revoked, (), move |(), grant| each(grant)).await
    }

    /// The blocks that [`list_blocked`](Self::list_blocked) returns, one after the other.
    ///
    /// # Errors
    ///
    /// [`PairingError::Backend`] when the store fails.
    pub async fn visit_blocked(
        &self,
        filter: &Filter,
        mut each: Box<dyn FnMut(BlockedSender) + Send>,
    ) -> Result<(), PairingError> {
        self.fold_blocked(filter, (), move |(), block| each(block)).await
    }
}
