//! Pairing for chat agents: who may talk to an agent, and which devices may join it.
//!
//! This crate re-exports the others, each as a module. The root has what most programs need. The
//! repository has a guide for embedding, `docs/embedding.md`.
//!
//! # Features
//!
//! Each feature enables a module. The column "cost" names its large dependencies.
//!
//! | feature | default | gives | cost |
//! | --- | --- | --- | --- |
//! | (none) | | [`crate::core`]: types, traits and rules | `serde`, `time` |
//! | `store` | yes | `store`: [`PairingStore`], in one SQLite file | SQLite, compiled from C with the crate; `ring`; Tokio |
//! | `gate` | yes | `gate`: [`PairingGate`] | Tokio |
//! | `setup` | yes | `setup`: [`SetupCodeIssuer`], [`url_resolver`] | `ring`, compiled from C and assembly; `url` |
//! | `qr` | by `qr-png` | `qr`: QR codes for terminals | |
//! | `qr-png` | yes | `qr::render_png` | `image` with PNG only |
//! | `whatsapp`, `telegram` | yes | the adapter of the channel | |
//! | `server` | | `server`: claims and sessions over HTTP; enables `setup` | axum, hyper, rustls |
//! | `client` | | `client`: the companion's side | hyper, rustls |
//! | `config` | | `config`: `pairing.yaml` and the environment | `figment` |
//! | `nats` | | `nats`: messages over NATS, adapters in other processes | `async-nats`, rustls |
//! | `nats-nkeys` | | credentials files and nkeys for `nats` | `ed25519-dalek` |
//! | `bus` | | `bus`: the gate as a service on NATS; enables `gate` and `nats` | that of the two |
#![cfg_attr(docsrs, feature(doc_cfg))]

#[doc(inline)]
pub use nexo_pairing_core as core;

#[doc(no_inline)]
pub use nexo_pairing_core::{
    AccountId, AccountKey, AccountScope, Actor, AllowedSender, ApprovedRequest, AuditAction,
    AuditEvent, AuditQuery, BlockedSender, Cancellation, Challenge, ChannelId, ClaimId, Clock,
    Decision, DropReason, Filter, GateBackend, Grant, Inbound, Language, ManualClock, Mode,
    OnReplay, OperatorBackend, OsRandom, Outbound, PairingAdapterRegistry, PairingChannelAdapter,
    PairingCode, PairingError, PairingPolicy, PendingRequest, RandomError, RandomSource,
    RedeemError, Redemption, RedemptionState, Rule, SenderId, SenderKey, Session, SessionBackend,
    SessionId, SessionToken, SetupCode, SetupCodeError, SetupCodeFormat, SetupEvent, SystemClock,
    Target, TokenClaims, UpsertOutcome, limits, metric, setup_code, text,
};

/// The path from which adapters written for 0.1.8 import their trait.
pub mod adapter {
    #[doc(no_inline)]
    pub use nexo_pairing_core::PairingChannelAdapter;
}

#[cfg(feature = "bus")]
#[cfg_attr(docsrs, doc(cfg(feature = "bus")))]
#[doc(inline)]
pub use nexo_pairing_bus as bus;

#[cfg(feature = "client")]
#[cfg_attr(docsrs, doc(cfg(feature = "client")))]
#[doc(inline)]
pub use nexo_pairing_client as client;

#[cfg(feature = "config")]
#[cfg_attr(docsrs, doc(cfg(feature = "config")))]
#[doc(inline)]
pub use nexo_pairing_config as config;

#[cfg(feature = "gate")]
#[cfg_attr(docsrs, doc(cfg(feature = "gate")))]
#[doc(inline)]
pub use nexo_pairing_gate as gate;

#[cfg(feature = "gate")]
#[cfg_attr(docsrs, doc(cfg(feature = "gate")))]
#[doc(no_inline)]
pub use nexo_pairing_gate::{Delivery, GateOptions, PairingGate, Screened};

#[cfg(feature = "nats")]
#[cfg_attr(docsrs, doc(cfg(feature = "nats")))]
#[doc(inline)]
pub use nexo_pairing_nats as nats;

#[cfg(feature = "qr")]
#[cfg_attr(docsrs, doc(cfg(feature = "qr")))]
#[doc(inline)]
pub use nexo_pairing_qr as qr;

#[cfg(feature = "server")]
#[cfg_attr(docsrs, doc(cfg(feature = "server")))]
#[doc(inline)]
pub use nexo_pairing_server as server;

#[cfg(feature = "setup")]
#[cfg_attr(docsrs, doc(cfg(feature = "setup")))]
#[doc(inline)]
pub use nexo_pairing_setup as setup;

#[cfg(feature = "setup")]
#[cfg_attr(docsrs, doc(cfg(feature = "setup")))]
#[doc(no_inline)]
pub use nexo_pairing_setup::{
    DEFAULT_TTL, IssuerOptions, MAX_TTL, MIN_TTL, SetupCodeIssuer, url_resolver,
};

#[cfg(feature = "store")]
#[cfg_attr(docsrs, doc(cfg(feature = "store")))]
#[doc(inline)]
pub use nexo_pairing_store as store;

#[cfg(feature = "store")]
#[cfg_attr(docsrs, doc(cfg(feature = "store")))]
#[doc(no_inline)]
pub use nexo_pairing_store::{PairingStore, StoreError, StoreErrorKind, StoreOptions};

#[cfg(feature = "telegram")]
#[cfg_attr(docsrs, doc(cfg(feature = "telegram")))]
#[doc(inline)]
pub use nexo_pairing_telegram as telegram;

#[cfg(feature = "whatsapp")]
#[cfg_attr(docsrs, doc(cfg(feature = "whatsapp")))]
#[doc(inline)]
pub use nexo_pairing_whatsapp as whatsapp;

/// Runs the example of the README.
#[cfg(all(doctest, feature = "store", feature = "gate"))]
#[doc = include_str!("../../../README.md")]
struct Readme;

/// Runs the examples of the guide for programs that embed pairing.
#[cfg(all(
    doctest,
    feature = "bus",
    feature = "client",
    feature = "qr",
    feature = "server",
    feature = "store",
    feature = "telegram",
    feature = "whatsapp",
))]
#[doc = include_str!("../../../docs/embedding.md")]
struct Embedding;
