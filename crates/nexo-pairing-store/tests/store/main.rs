//! The store from outside: operations, files, other writers and faults.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod account;
mod adapter;
mod audit;
mod backup;
mod bad_file;
mod code;
mod concurrency;
mod crash;
mod ending;
mod forget;
mod full;
mod grant;
mod import;
mod legacy;
mod locks;
mod migration;
mod old;
mod place;
mod previous;
mod probe;
mod purge;
mod queue;
mod redeem;
mod repeated;
mod replaced;
mod replica;
mod request;
mod restored;
mod secret;
mod session;
mod support;
mod view;
mod wal;
