//! Pairing for chat agents: who may talk to an agent, and which device may join it.
//!
//! This crate only re-exports: each piece is a crate of its own, and a feature here. The types and
//! traits of `nexo-pairing-core` are always there.
#![cfg_attr(docsrs, feature(doc_cfg))]

#[doc(inline)]
pub use nexo_pairing_core::*;

/// The path that adapters written for 0.1.8 import their trait from.
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
pub use nexo_pairing_gate::{
    Delivery, EventError, Explanation, GateOptions, InboundEvent, Listing, Notice, PairingGate,
    Screened, ScreenedNotice,
};

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
pub use nexo_pairing_setup::{
    DEFAULT_TTL, IssueError, IssuerOptions, KeyError, KeyId, KeyInfo, MAX_TTL, MIN_TTL,
    SetupCodeIssuer, VerifyError, url_resolver,
};

#[cfg(feature = "store")]
#[cfg_attr(docsrs, doc(cfg(feature = "store")))]
#[doc(inline)]
pub use nexo_pairing_store::{
    Inspection, PairingStore, StoreError, StoreErrorKind, StoreOptions, read_legacy_sessions,
};

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
