//! The rules of admission: their names, their order, and what each decides.
//!
//! Only [`evaluate`] knows the order. The gate calls it on its copy of the lists; the engine calls it on
//! the rows of a transaction, for a stranger whom the gate would challenge.

mod waiting;

#[cfg(test)]
mod tests;

use std::cell::LazyCell;

use serde::Serialize;
use time::OffsetDateTime;

pub use crate::policy::Limits;
use crate::{Mode, NewRequest, UpsertOutcome, Validity};
pub use waiting::{EndedRequest, REJECTED_FOR, RequestEnd, wait_after};

/// Returns the rule that decides on a message: the first that matches. `now` is called at most once, and
/// only if a period has to be checked.
#[inline]
pub fn evaluate(
    message: &MessageFacts,
    limits: &Limits,
    sender: &impl SenderFacts,
    now: impl FnOnce() -> OffsetDateTime,
) -> Rule {
    let mode = message.mode;
    let now = LazyCell::new(now);
    let holds = |validity: &Validity| *validity == Validity::Always || validity.holds(*now);

    match message.freshness {
        Freshness::Stale { may_have_blocks } if mode != Mode::Open || may_have_blocks => {
            return Rule::Stale;
        }
        Freshness::Stale { .. } | Freshness::Current => {}
    }
    if !message.is_known_account {
        return Rule::UnknownAccount;
    }
    // An id that cannot be read may be a blocked sender's.
    if (message.has_unreadable_id && sender.has_blocks()) || sender.is_blocked() {
        return Rule::Blocked;
    }
    if !message.is_pairable {
        return Rule::NotPairable;
    }
    if mode == Mode::Open {
        return Rule::Open;
    }
    if sender.grants().any(|grant| holds(&grant)) {
        return Rule::Allowed;
    }
    match mode {
        Mode::Open | Mode::Allowlist => return Rule::NotAllowed,
        Mode::Pairing => {}
    }
    if !message.is_direct {
        return Rule::NotDirect;
    }
    if sender.waits().any(|wait| holds(&wait)) {
        return Rule::Waiting;
    }
    if let Some((_, challenged_at)) = sender.requests().find(|(validity, _)| holds(validity)) {
        let cooldown = time::Duration::try_from(limits.challenge_cooldown);
        let until = challenged_at.saturating_add(cooldown.unwrap_or(time::Duration::MAX));
        let is_recent = holds(&Validity::Between(challenged_at, until));
        return if is_recent { Rule::AlreadyChallenged } else { Rule::ChallengeAgain };
    }
    if sender.live_requests(*now) >= limits.max_pending as usize
        || sender.live_requests_in_all(*now) >= limits.max_pending_total as usize
    {
        return Rule::PendingFull;
    }
    Rule::Challenge
}

/// What is known about a message before its sender is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageFacts {
    /// The mode of its account.
    pub mode: Mode,
    /// Whether the lists are up to date.
    pub freshness: Freshness,
    /// Whether its account is configured, or no accounts are.
    pub is_known_account: bool,
    /// Whether the adapter derives a sender from its raw id.
    pub is_pairable: bool,
    /// Whether it has an id without a canonical form, which may be anybody's.
    pub has_unreadable_id: bool,
    /// Whether it came in a direct chat.
    pub is_direct: bool,
}

impl MessageFacts {
    /// The facts of a message that a request is made for. The gate has already decided everything that
    /// does not depend on rows.
    #[must_use]
    pub fn of_request(request: &NewRequest) -> Self {
        Self {
            mode: Mode::Pairing,
            freshness: Freshness::Current,
            is_known_account: true,
            is_pairable: true,
            has_unreadable_id: request.has_unreadable_id,
            is_direct: true,
        }
    }
}

/// Whether the lists are up to date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// They match the store.
    Current,
    /// They are too old and could not be refreshed.
    Stale {
        /// Whether anybody is or was blocked, or may be because the lists were never read.
        may_have_blocks: bool,
    },
}

/// What is known about the sender of a message, under all of their ids. A method is called only when a
/// rule needs it.
pub trait SenderFacts {
    /// Whether anybody is blocked on the message's channel, on any account.
    fn has_blocks(&self) -> bool;

    /// Whether the sender is blocked on the message's account or on all accounts.
    fn is_blocked(&self) -> bool;

    /// The validities of the sender's grants on the message's account, without revoked ones.
    fn grants(&self) -> impl Iterator<Item = Validity>;

    /// The periods in which the sender has to wait for a code on the message's account.
    fn waits(&self) -> impl Iterator<Item = Validity>;

    /// The validities of the sender's requests on the message's account, with the last challenge of
    /// each.
    fn requests(&self) -> impl Iterator<Item = (Validity, OffsetDateTime)>;

    /// The number of live requests on the message's account at `now`.
    fn live_requests(&self, now: OffsetDateTime) -> usize;

    /// The number of live requests on all accounts at `now`.
    fn live_requests_in_all(&self, now: OffsetDateTime) -> usize;
}

/// The rules of the gate, of which the first that matches decides. The discriminant is the number in
/// `explain` and in the documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
#[non_exhaustive]
pub enum Rule {
    /// The lists are out of date: nothing is decided, and the caller drops.
    Stale = 1,
    /// Accounts are configured, and this one is not among them.
    UnknownAccount = 2,
    /// An id of the sender is blocked; or the message has an id without a canonical form while anybody
    /// on the channel is blocked.
    Blocked = 3,
    /// The adapter derives no sender from the raw id. Mode `open` admits the message.
    NotPairable = 4,
    /// Mode `open`: the sender is admitted.
    Open = 5,
    /// An id of the sender has a live grant.
    Allowed = 6,
    /// Mode `allowlist`: strangers are dropped silently.
    NotAllowed = 7,
    /// The message came in a group, or the sender id is a group's.
    NotDirect = 8,
    /// The sender was rejected or let codes expire, and has to wait.
    Waiting = 9,
    /// A request is pending, with a challenge within the cooldown.
    AlreadyChallenged = 10,
    /// A request is pending: its code is sent again.
    ChallengeAgain = 11,
    /// The account, or all accounts together, have the maximum number of live requests.
    PendingFull = 12,
    /// A new request with a new code.
    Challenge = 13,
}

names! {
    /// Its name in metrics, in snake case.
    Rule {
        Stale => "stale",
        UnknownAccount => "unknown_account",
        Blocked => "blocked",
        NotPairable => "not_pairable",
        Open => "open",
        Allowed => "allowed",
        NotAllowed => "not_allowed",
        NotDirect => "not_direct",
        Waiting => "waiting",
        AlreadyChallenged => "already_challenged",
        ChallengeAgain => "challenge_again",
        PendingFull => "pending_full",
        Challenge => "challenge",
    }
}

impl Rule {
    /// What the rule decides on an account in this mode. `None` for [`Stale`](Self::Stale): the gate
    /// returns an error, and its caller drops the message.
    #[must_use]
    #[inline]
    pub fn decision_kind(self, mode: Mode) -> Option<DecisionKind> {
        let reason = match self {
            Self::Stale => return None,
            Self::Open | Self::Allowed => return Some(DecisionKind::Admit),
            Self::NotPairable if mode == Mode::Open => return Some(DecisionKind::Admit),
            Self::ChallengeAgain | Self::Challenge => return Some(DecisionKind::Challenge),
            Self::UnknownAccount => DropReason::UnknownAccount,
            Self::NotPairable => DropReason::NotPairable,
            Self::Blocked => DropReason::Blocked,
            Self::NotAllowed => DropReason::NotAllowed,
            Self::NotDirect => DropReason::NotDirect,
            Self::Waiting => DropReason::Waiting,
            Self::AlreadyChallenged => DropReason::AlreadyChallenged,
            Self::PendingFull => DropReason::PendingFull,
        };
        Some(DecisionKind::Drop(reason))
    }

    /// The number of the rule, 1 to 13.
    #[must_use]
    pub fn number(self) -> u8 {
        self as u8
    }

    /// Why the rule applies, as a sentence for the operator.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Stale => "the store cannot be read, so nobody is admitted",
            Self::UnknownAccount => "accounts are configured, and this one is not among them",
            Self::NotPairable => "the channel's adapter does not accept this id",
            Self::Blocked => {
                "one of the sender's ids is blocked, or cannot be read while anybody on the channel is \
                 blocked"
            }
            Self::Open => "the account's mode is open: everybody is admitted",
            Self::Allowed => "the sender, or another of their ids, is allowed",
            Self::NotAllowed => {
                "the account's mode is allowlist, and the sender is not on the list"
            }
            Self::NotDirect => "groups are never challenged; admit a group with `seed`",
            Self::Waiting => "the sender was rejected or let codes expire, and has to wait",
            Self::AlreadyChallenged => "the sender was sent a code only a moment ago",
            Self::ChallengeAgain => "the sender's request is pending: the same code is sent again",
            Self::PendingFull => "this account, or all together, have too many pending requests",
            Self::Challenge => "the sender is a stranger in mode pairing: a new code is sent",
        }
    }
}

/// What a rule decides: a [`Decision`](crate::Decision) without its code.
///
/// Exhaustive on purpose: code that acts on it does not compile until it handles a new kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DecisionKind {
    /// Deliver the message.
    Admit,
    /// Withhold it. The store makes a request, or repeats the pending one, and its code is sent.
    Challenge,
    /// Withhold it silently.
    Drop(DropReason),
}

impl DecisionKind {
    /// Its name in logs, metrics and JSON: `admit`, `challenge` or `drop`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admit => "admit",
            Self::Challenge => "challenge",
            Self::Drop(_) => "drop",
        }
    }
}

/// Why a message is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DropReason {
    /// Accounts are configured, and this one is not among them.
    UnknownAccount,
    /// The adapter derives no sender from the raw id.
    NotPairable,
    /// The sender is blocked, or has an unreadable id while anybody on the channel is blocked.
    Blocked,
    /// The mode is `allowlist`, and the sender is not on the list.
    NotAllowed,
    /// The message came in a group; challenges are only sent in direct chats.
    NotDirect,
    /// The sender was rejected or let codes expire, and has to wait.
    Waiting,
    /// The sender was sent a code within the cooldown.
    AlreadyChallenged,
    /// The account, or all accounts together, have the maximum number of live requests.
    PendingFull,
}

names! {
    /// Its name in logs, metrics and JSON, in snake case.
    DropReason {
        UnknownAccount => "unknown_account",
        NotPairable => "not_pairable",
        Blocked => "blocked",
        NotAllowed => "not_allowed",
        NotDirect => "not_direct",
        Waiting => "waiting",
        AlreadyChallenged => "already_challenged",
        PendingFull => "pending_full",
    }
}

impl UpsertOutcome {
    /// The rule that decided.
    #[must_use]
    pub fn rule(&self) -> Rule {
        match self {
            Self::Created { .. } => Rule::Challenge,
            Self::Repeated { .. } => Rule::ChallengeAgain,
            Self::AlreadyChallenged => Rule::AlreadyChallenged,
            Self::Waiting => Rule::Waiting,
            Self::PendingFull => Rule::PendingFull,
            Self::Allowed => Rule::Allowed,
            Self::Blocked => Rule::Blocked,
        }
    }

    /// The outcome of a rule that needs no code; `None` for the two that do.
    #[must_use]
    pub fn without_code(rule: Rule) -> Option<Self> {
        match rule {
            Rule::ChallengeAgain | Rule::Challenge => None,
            Rule::AlreadyChallenged => Some(Self::AlreadyChallenged),
            Rule::Waiting => Some(Self::Waiting),
            Rule::PendingFull => Some(Self::PendingFull),
            Rule::Allowed => Some(Self::Allowed),
            // The gate decides these before it asks a store. Here they must admit nobody.
            Rule::Stale
            | Rule::UnknownAccount
            | Rule::NotPairable
            | Rule::Open
            | Rule::NotAllowed
            | Rule::NotDirect
            | Rule::Blocked => Some(Self::Blocked),
        }
    }
}
