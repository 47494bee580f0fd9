//! The cases, by what they are about.

pub mod account;
pub mod adapter;
pub mod again;
pub mod audit;
pub mod bytes;
pub mod clock;
pub mod code;
pub mod concurrency;
pub mod forget;
pub mod grant;
pub mod import;
pub mod mirror;
pub mod order;
pub mod redeem;
pub mod repeated;
pub mod request;
pub mod search;
pub mod session;
pub mod trim;

use nexo_pairing_engine::Storage;

use crate::suite::Case;

macro_rules! list {
    ($($module:ident: $($case:ident),* $(,)?;)*) => {
        vec![$($((
            concat!(stringify!($module), "::", stringify!($case)),
            |suite| Box::pin(async move { $module::$case(&suite).await }),
        )),*),*]
    };
}

pub(crate) fn all<S: Storage>() -> Vec<Case<S>> {
    for_each_case!(list)
}
