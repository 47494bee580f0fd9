//! How many SQL statements the most frequent write takes.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use nexo_pairing_core::{AccountId, ChannelId, GateBackend as _, NewRequest, SenderId, SenderKey};
use nexo_pairing_engine::{EngineOptions, PairingEngine};
use rusqlite::Connection;
use rusqlite::trace::{TraceEvent, TraceEventCodes};

use crate::storage::SqliteStorage;
use crate::{StoreError, StoreOptions, inspect};

/// From `BEGIN` to `COMMIT`: every one more is paid by each stranger, and by all who wait behind them.
const MOST: usize = 16;

/// The statements that SQLite has run.
static STATEMENTS: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn traced(path: &Path) -> Result<Connection, StoreError> {
    let mut connection = inspect::empty(path)?;
    let trace = |event: TraceEvent<'_>| {
        // Statements of triggers are reported as comments.
        if let TraceEvent::Stmt(_, sql) = event
            && !sql.starts_with("--")
        {
            STATEMENTS.lock().unwrap_or_else(PoisonError::into_inner).push(sql.to_owned());
        }
    };
    connection.trace_v2(TraceEventCodes::SQLITE_TRACE_STMT, Some(trace)).unwrap();
    Ok(connection)
}

#[tokio::test]
async fn the_first_message_of_a_stranger_takes_few_statements() {
    let (path, options) = (PathBuf::from(":memory:"), StoreOptions::default());
    let storage = SqliteStorage::detached(path, options, traced).await.unwrap();
    let engine = PairingEngine::new(storage, EngineOptions::default());
    let (channel, account) = (ChannelId::parse("whatsapp"), AccountId::parse("personal"));
    let key = |sender: &str| {
        let sender = SenderId::parse(sender).unwrap();
        SenderKey::new(channel.clone().unwrap(), account.clone().unwrap(), sender)
    };
    // The first write of a process has statements of its own.
    engine.upsert_pending(NewRequest::new(key("+14155550100"))).await.unwrap();
    STATEMENTS.lock().unwrap().clear();
    engine.upsert_pending(NewRequest::new(key("+14155550101"))).await.unwrap();
    let statements = STATEMENTS.lock().unwrap();
    assert!(statements.len() <= MOST, "{} statements: {statements:#?}", statements.len());
    assert!(statements.iter().any(|sql| sql.starts_with("INSERT INTO pairing_pending")));
}
