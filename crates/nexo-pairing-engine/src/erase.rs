//! Erases a person.

use data_encoding::HEXLOWER;
use nexo_pairing_core::{Actor, SenderKey, Target};
use ring::digest::{Context, SHA256};
use serde_json::Value;

use crate::grant::locks;
use crate::refusal::TxResult;
use crate::tx::{Subject, Tx, key_on};

/// Erases a target. A hash of it, with `salt`, stands for it in the audit log from now on.
pub(crate) fn forget(
    tx: &mut Tx<'_>,
    target: &Target,
    actor: &Actor,
    salt: &[u8],
) -> TxResult<Vec<SenderKey>> {
    tx.lock(locks(target))?;
    // The salt is kept nowhere, so that nobody can try all telephone numbers.
    let mut digest = Context::new(&SHA256);
    digest.update(salt);
    digest.update(target.sender.as_str().as_bytes());
    let pseudonym = format!("sha256:{}", HEXLOWER.encode(digest.finish().as_ref()));
    let erased = tx.rows.erase(target, &pseudonym)?;
    if !erased.changed {
        return Ok(Vec::new());
    }
    let (channel, scope) = (target.channel.as_str(), target.scope.as_str());
    let subject = Subject::sender(channel, scope, &pseudonym);
    tx.audit(actor.as_str(), "forget", subject, Value::Null)?;
    Ok(erased.accounts.into_iter().map(|account| key_on(target, account)).collect())
}
