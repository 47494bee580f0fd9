//! The rules of admission: their names, their order, and what each decides.
//!
//! [`evaluate`] is the only place that knows the order. The gate calls it on its snapshot; a storage
//! calls it on the rows of a transaction, for a stranger whom the gate would challenge.

mod waiting;

#[cfg(test)]
mod tests;

use std::cell::LazyCell;

use time::OffsetDateTime;

pub use crate::policy::Limits;
use crate::{DecisionKind, DropReason, Mode, NewRequest, UpsertOutcome, Validity};
pub use waiting::{EndedRequest, REJECTED_FOR, RequestEnd, wait_after};

/// Which rule decides on a message: the first that matches. `now` is asked for at most once, and only
/// where something has an end.
#[inline]
pub fn evaluate(
    message: &MessageFacts,
    limits: &Limits,
    sender: &impl SenderFacts,
    now: impl FnOnce() -> OffsetDateTime,
) -> Rule {
    let mode = message.mode;
    let now = LazyCell::new(now);
    let holds = |span: &Validity| *span == Validity::Always || span.holds(*now);

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
    if sender.grants().any(|span| holds(&span)) {
        return Rule::Allowed;
    }
    match mode {
        Mode::Open | Mode::Allowlist => return Rule::NotAllowed,
        Mode::Pairing => {}
    }
    if !message.is_direct {
        return Rule::NotDirect;
    }
    if sender.waits().any(|span| holds(&span)) {
        return Rule::Waiting;
    }
    if let Some((_, challenged_at)) = sender.requests().find(|(life, _)| holds(life)) {
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

/// What is known of a message before its sender is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageFacts {
    /// The mode of its account.
    pub mode: Mode,
    /// Whether what is known of senders can be trusted.
    pub freshness: Freshness,
    /// Whether its account is one of those that are configured, if any are.
    pub is_known_account: bool,
    /// Whether the adapter makes a sender of who wrote.
    pub is_pairable: bool,
    /// Whether it names an id of which no canonical one can be made: it may be anybody's.
    pub has_unreadable_id: bool,
    /// Whether it came in the sender's own chat with the bot.
    pub is_direct: bool,
}

impl MessageFacts {
    /// The facts of a message that a storage makes a request for: all that needs no look at its rows
    /// was decided by the gate.
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

/// Whether what is known of senders can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// It is the storage's.
    Current,
    /// It is too old, and could not be refreshed.
    Stale {
        /// Whether anybody is blocked, or was ever, or may be as nothing was ever read.
        may_have_blocks: bool,
    },
}

/// What is known of the sender of a message, by all of their ids. Each is asked for only when a rule
/// needs it.
pub trait SenderFacts {
    /// Whether anybody is blocked on the message's channel, on whichever account.
    fn has_blocks(&self) -> bool;

    /// Whether the sender is blocked on the message's account, or on all.
    fn is_blocked(&self) -> bool;

    /// When the sender's grants on the message's account hold, without those that were revoked.
    fn grants(&self) -> impl Iterator<Item = Validity>;

    /// While the sender has to wait for a code of the message's account.
    fn waits(&self) -> impl Iterator<Item = Validity>;

    /// When the sender's requests on the message's account live, and when each was last challenged.
    fn requests(&self) -> impl Iterator<Item = (Validity, OffsetDateTime)>;

    /// How many requests of the message's account live at `now`.
    fn live_requests(&self, now: OffsetDateTime) -> usize;

    /// How many requests of all accounts live at `now`.
    fn live_requests_in_all(&self, now: OffsetDateTime) -> usize;
}

/// The rules of the gate; the first that matches decides. The discriminant is the number that
/// `explain` and the documentation use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
#[non_exhaustive]
pub enum Rule {
    /// The state cannot be trusted: nothing is decided, the caller drops.
    Stale = 1,
    /// Accounts are configured and this one is not among them.
    UnknownAccount = 2,
    /// The sender, or an id he also has, is blocked; or the event has an id of which no canonical one
    /// can be made while anybody on the channel is blocked.
    Blocked = 3,
    /// The adapter derives no sender from the raw id. Mode `open` admits the message.
    NotPairable = 4,
    /// Mode `open`: nobody is asked.
    Open = 5,
    /// The sender, or an id he also has, holds a live grant.
    Allowed = 6,
    /// Mode `allowlist`: strangers are dropped in silence.
    NotAllowed = 7,
    /// The message came in a group, or the id is a group's.
    NotDirect = 8,
    /// The sender was rejected, or let codes expire.
    Waiting = 9,
    /// A request is pending and was challenged less than the cooldown ago.
    AlreadyChallenged = 10,
    /// A request is pending: the same code again.
    ChallengeAgain = 11,
    /// The account has as many live requests as it may.
    PendingFull = 12,
    /// A new request, a new code.
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
    /// What the rule decides on an account in this mode; `None` where that is nothing: the gate
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

    /// What the rule says, as a sentence for the operator.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Stale => "the state of the store is not known, so nobody is let in",
            Self::UnknownAccount => "accounts are configured and this one is not among them",
            Self::NotPairable => {
                "the channel's adapter says that nobody can be paired with this id"
            }
            Self::Blocked => {
                "one of the sender's ids is blocked, or cannot be read while somebody on the channel is \
                 blocked"
            }
            Self::Open => "the account's mode is open: nobody is asked",
            Self::Allowed => "the sender, or another of his ids, is allowed",
            Self::NotAllowed => "the account's mode is allowlist and the sender is not on the list",
            Self::NotDirect => "groups are never challenged; let a group in with `seed`",
            Self::Waiting => "the sender was rejected, or let codes expire, and has to wait",
            Self::AlreadyChallenged => "the sender was sent his code only a moment ago",
            Self::ChallengeAgain => "the sender's request is pending: the same code is sent again",
            Self::PendingFull => {
                "as many requests are pending as may be, on this account or in all"
            }
            Self::Challenge => "a stranger in mode pairing: a new code is sent",
        }
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

    /// What a storage answers by a rule that needs no code; `None` for the two that do.
    #[must_use]
    pub fn without_code(rule: Rule) -> Option<Self> {
        match rule {
            Rule::ChallengeAgain | Rule::Challenge => None,
            Rule::AlreadyChallenged => Some(Self::AlreadyChallenged),
            Rule::Waiting => Some(Self::Waiting),
            Rule::PendingFull => Some(Self::PendingFull),
            Rule::Allowed => Some(Self::Allowed),
            // The gate decides by these before it asks a storage; nobody is let in by them here.
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
