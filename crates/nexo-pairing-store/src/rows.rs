//! The port of the engine on SQLite: each table is read and written by one file.

mod attempts;
mod audit;
mod blocks;
mod changes;
mod grants;
mod modes;
mod outcomes;
mod port;
mod redemptions;
mod requests;
mod sessions;
pub(crate) mod states;
mod transaction;

pub(crate) use transaction::{Effects, SqliteRows, sqlite_error};
