//! Random operations on store and gate.

use nexo_pairing::Mode;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::devices::CODES;
use crate::rules::{DAY, HOUR, Key};

pub(crate) const CHANNELS: [&str; 2] = ["telegram", "whatsapp"];
pub(crate) const ACCOUNTS: [&str; 2] = ["personal", "work"];
/// The last one is a group on telegram.
pub(crate) const SENDERS: [&str; 5] = ["+1", "+2", "+3", "lid:1", "-7"];
const ACTORS: [&str; 2] = ["api:bo", "cli"];
const STEPS: [i64; 11] = [1, 5, 9, 60, 300, 601, 3000, HOUR, 3 * HOUR, DAY - 1, DAY];
const BACK: [i64; 6] = [1, 5, 6, 60, HOUR, DAY];
const YEAR: i64 = 366 * DAY;
/// Where the clock is set to, in seconds from the start.
const JUMPS: [i64; 7] = [-10 * YEAR, -DAY, 0, DAY, 30 * DAY, YEAR, 10 * YEAR];
const TTLS: [i64; 4] = [60, DAY, 20 * DAY, 365 * DAY];

/// An operation, and which of the two handles it goes through.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) handle: usize,
    pub(crate) op: Op,
}

#[derive(Debug, Clone)]
pub(crate) enum Op {
    /// A question to a gate.
    Message(Incoming),
    /// A request by a gate that has not yet seen the changes of the other process.
    Stranger(Incoming),
    Approve {
        code: Code,
        actor: String,
        limit: Option<i64>,
    },
    Reject {
        code: Code,
        actor: String,
    },
    Revoke {
        target: Key,
        actor: String,
    },
    Block {
        target: Key,
        actor: String,
        reason: Option<String>,
    },
    Unblock {
        target: Key,
        actor: String,
    },
    Seed {
        key: Key,
        ids: Vec<String>,
        actor: String,
    },
    Forget {
        target: Key,
        actor: String,
    },
    Unlock {
        locked: String,
        actor: String,
    },
    Redeem {
        code: usize,
        claim: Option<u64>,
        ttl: i64,
        renew_for: i64,
        refuse: bool,
    },
    Cancel {
        code: usize,
    },
    /// These mean the session or the token with this number, modulo how many there were.
    Touch(usize),
    Renew(usize, i64),
    End(usize),
    RevokeDevice(usize),
    Purge,
    PurgeDevices,
    /// Time passes.
    Pass(i64),
    /// The wall clock is set back by so much.
    Back(i64),
    /// The wall clock is set to so much after the start.
    Jump(i64),
    /// The process of a handle ends and another one starts.
    Restart,
}

/// A message of the channel.
#[derive(Debug, Clone)]
pub(crate) struct Incoming {
    pub(crate) channel: String,
    pub(crate) account: String,
    pub(crate) sender: Sender,
    pub(crate) alt: Vec<String>,
    /// Whether it has another id that is unreadable.
    pub(crate) is_unreadable: bool,
    pub(crate) is_group: bool,
    pub(crate) mode: Mode,
    pub(crate) max_pending: u32,
    pub(crate) ttl: i64,
    pub(crate) cooldown: i64,
    /// Whether a challenge would be delivered.
    pub(crate) is_connected: bool,
}

impl Incoming {
    /// The other ids of its sender, with one that neither an adapter nor a store takes.
    pub(crate) fn alt_as_sent(&self) -> Vec<String> {
        let unreadable = self.is_unreadable.then(|| "\n".to_owned());
        self.alt.iter().cloned().chain(unreadable).collect()
    }
}

/// The sender of a message; on whatsapp, which has no adapter here, always an id.
#[derive(Debug, Clone)]
pub(crate) enum Sender {
    Id(String),
    /// The same, in another form.
    Dotted(String),
    /// The first sender, in a form that the adapter has to look up.
    Asked,
    /// An invalid sender.
    Invalid,
    /// A sender that the adapter fails to look up.
    Down,
}

#[derive(Debug, Clone)]
pub(crate) enum Code {
    /// One that was sent to a sender; the number is taken modulo how many there were.
    Sent(usize),
    Unknown(u8),
    Mistyped(u8),
}

fn one_of<const N: usize>(texts: [&'static str; N]) -> impl Strategy<Value = String> + Clone {
    select(texts.to_vec()).prop_map(str::to_owned)
}

fn key() -> impl Strategy<Value = Key> + Clone {
    (one_of(CHANNELS), one_of(ACCOUNTS), one_of(SENDERS))
}

fn target() -> impl Strategy<Value = Key> + Clone {
    let scope = prop_oneof![one_of(ACCOUNTS), Just("*".to_owned())];
    (one_of(CHANNELS), scope, one_of(SENDERS))
}

fn code() -> impl Strategy<Value = Code> + Clone {
    prop_oneof![
        6 => (0..100_usize).prop_map(Code::Sent),
        2 => (0..32_u8).prop_map(Code::Unknown),
        1 => (0..32_u8).prop_map(Code::Mistyped),
    ]
}

fn ids(most: usize) -> impl Strategy<Value = Vec<String>> + Clone {
    vec(one_of(SENDERS), 0..=most)
}

fn incoming() -> impl Strategy<Value = Incoming> {
    let account = prop_oneof![30 => one_of(ACCOUNTS), 1 => Just("other".to_owned())];
    let sender = prop_oneof![
        20 => one_of(SENDERS).prop_map(Sender::Id),
        2 => one_of(SENDERS).prop_map(Sender::Dotted),
        1 => Just(Sender::Asked),
        1 => Just(Sender::Invalid),
        1 => Just(Sender::Down),
    ];
    let alt = prop_oneof![3 => Just(Vec::new()), 2 => ids(2)];
    let mode =
        prop_oneof![1 => Just(Mode::Open), 1 => Just(Mode::Allowlist), 10 => Just(Mode::Pairing)];
    let (ttl, cooldown) = (prop_oneof![Just(HOUR), Just(60)], prop_oneof![Just(300), Just(10)]);
    let limits = (1..=3_u32, ttl, cooldown);
    let flags = [0.05, 0.8, 0.1].map(prop::bool::weighted);
    (one_of(CHANNELS), account, sender, alt, mode, limits, flags).prop_map(
        |(channel, account, sender, alt, mode, limits, [is_group, is_connected, is_unreadable])| {
            let (max_pending, ttl, cooldown) = limits;
            let sender = match sender {
                Sender::Id(id) => Sender::Id(id),
                sender if channel == "telegram" => sender,
                Sender::Dotted(id) => Sender::Id(id),
                _ => Sender::Id(SENDERS[1].to_owned()),
            };
            Incoming {
                channel,
                account,
                sender,
                alt,
                is_unreadable,
                is_group,
                mode,
                max_pending,
                ttl,
                cooldown,
                is_connected,
            }
        },
    )
}

fn op() -> impl Strategy<Value = Op> {
    let actor = || one_of(ACTORS);
    let reason = proptest::option::of(one_of(["spam", "rude"]));
    let limit = proptest::option::of(select(STEPS.to_vec()));
    prop_oneof![
        24 => incoming().prop_map(Op::Message),
        8 => incoming().prop_map(Op::Stranger),
        12 => (code(), actor(), limit)
            .prop_map(|(code, actor, limit)| Op::Approve { code, actor, limit }),
        6 => (code(), actor()).prop_map(|(code, actor)| Op::Reject { code, actor }),
        3 => (target(), actor()).prop_map(|(target, actor)| Op::Revoke { target, actor }),
        3 => (target(), actor(), reason)
            .prop_map(|(target, actor, reason)| Op::Block { target, actor, reason }),
        4 => (target(), actor()).prop_map(|(target, actor)| Op::Unblock { target, actor }),
        3 => (key(), ids(4), actor()).prop_map(|(key, ids, actor)| Op::Seed { key, ids, actor }),
        1 => (target(), actor()).prop_map(|(target, actor)| Op::Forget { target, actor }),
        1 => (actor(), actor()).prop_map(|(locked, actor)| Op::Unlock { locked, actor }),
        12 => device(),
        2 => Just(Op::Purge),
        1 => Just(Op::PurgeDevices),
        20 => select(STEPS.to_vec()).prop_map(Op::Pass),
        1 => Just(Op::Restart),
    ]
}

fn device() -> impl Strategy<Value = Op> {
    let (number, ttl) = (|| 0..100_usize, || select(TTLS.to_vec()));
    let claim = proptest::option::of(0..2_u64);
    prop_oneof![
        12 => (0..CODES, claim, ttl(), ttl(), any::<bool>()).prop_map(
            |(code, claim, ttl, renew_for, refuse)| Op::Redeem { code, claim, ttl, renew_for, refuse }
        ),
        2 => (0..CODES).prop_map(|code| Op::Cancel { code }),
        3 => number().prop_map(Op::Touch),
        4 => (number(), ttl()).prop_map(|(number, ttl)| Op::Renew(number, ttl)),
        2 => number().prop_map(Op::End),
        2 => number().prop_map(Op::RevokeDevice),
    ]
}

/// Some plays have a clock that is always right, the others one that jumps.
pub(crate) fn plays(most: usize) -> impl Strategy<Value = Vec<Step>> {
    let step = |op: BoxedStrategy<Op>| {
        (0..2_usize, op).prop_map(|(handle, op)| Step { handle, op }).boxed()
    };
    let jumps = prop_oneof![
        1 => select(BACK.to_vec()).prop_map(Op::Back),
        1 => select(JUMPS.to_vec()).prop_map(Op::Jump),
    ];
    let jumping = prop_oneof![15 => op(), 1 => jumps];
    prop_oneof![vec(step(op().boxed()), 1..=most), vec(step(jumping.boxed()), 1..=most),]
}
