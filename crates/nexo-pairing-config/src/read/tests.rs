//! Files that are lost, changed or being written: strangers that were rejected before are admitted only
//! if the new file says so explicitly.

mod pairs;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use nexo_pairing_core::{
    ChannelId, ConfiguredAdapters, Mode, ModesInForce, RememberedAdapters, RememberedModes,
};

use super::*;
use crate::{Config, Sources};

/// A file that another process writes: each access sees the next state of `order`, then always the
/// last one. `None` is no file.
#[derive(Clone)]
struct Written {
    states: Rc<Vec<Option<String>>>,
    order: Rc<RefCell<VecDeque<usize>>>,
    last: usize,
    pauses: Rc<Cell<u32>>,
}

impl Written {
    fn new(states: Vec<Option<String>>, order: &[usize]) -> Self {
        Self {
            last: states.len() - 1,
            states: Rc::new(states),
            order: Rc::new(RefCell::new(order.iter().copied().collect())),
            pauses: Rc::default(),
        }
    }

    /// A file that does not change.
    fn still(text: Option<&str>) -> Self {
        Self::new(vec![text.map(str::to_owned)], &[])
    }

    fn look(&self) -> (usize, Option<&str>) {
        let at = self.order.borrow_mut().pop_front().unwrap_or(self.last);
        (at, self.states[at].as_deref())
    }

    fn look_at_stamp(&self) -> Option<Stamp> {
        let (at, text) = self.look();
        let changed = [at as i64, 0, 0, 0];
        Some(Stamp { device: 1, inode: 1, size: text?.len() as u64, changed })
    }
}

impl FileSystem for Written {
    fn read(&self, _: &Path, _: u64) -> io::Result<(Option<Stamp>, Vec<u8>)> {
        let next = self.order.borrow().front().copied().unwrap_or(self.last);
        if self.states[next].is_none() {
            return Err(ErrorKind::NotFound.into());
        }
        let stamp = self.look_at_stamp();
        Ok((stamp, self.look().1.unwrap_or_default().as_bytes().to_vec()))
    }

    fn stamp(&self, _: &Path) -> io::Result<Option<Stamp>> {
        Ok(self.look_at_stamp())
    }

    fn exists(&self, _: &Path) -> bool {
        false
    }

    fn pause(&self) {
        self.pauses.set(self.pauses.get() + 1);
    }
}

fn sources() -> Sources {
    Sources::from_vars([("NEXO_HOME", "/nonexistent")])
}

/// A process: the configuration it read, and the one in force.
#[derive(Clone)]
struct Running {
    read: Config,
    in_force: Config,
    modes: ModesInForce,
    remembered: Remembered,
}

/// State that outlives a process.
#[derive(Clone, Default)]
struct Remembered {
    modes: RememberedModes,
    adapters: RememberedAdapters,
}

impl Running {
    /// A process that starts after another one that left `remembered`.
    fn start(text: Option<&str>, remembered: &Remembered) -> Option<Self> {
        Self::with(sources().load_from(&Written::still(text), None).ok()?, remembered, None)
    }

    /// This process after a reload; `None` on an error, which changes nothing.
    fn reload(&self, files: &dyn FileSystem) -> Option<Self> {
        Self::with(sources().load_from(files, Some(&self.read)).ok()?, &self.remembered, Some(self))
    }

    fn with(read: Config, remembered: &Remembered, before: Option<&Self>) -> Option<Self> {
        let modes = remembered.modes.resolve(read.configured_modes(), None).ok()?;
        let words = read.configured_adapters();
        let was_exposed =
            |channel: &ChannelId| before.is_some_and(|before| before.takes_ids_as_written(channel));
        let in_force = read.clone().with_modes(&modes);
        let remembered = Remembered { modes: modes.remembered().clone(), ..remembered.clone() };
        let mut new = Self { read, in_force, modes, remembered };
        let adapters = new.remembered.adapters.resolve(&words, |channel| {
            new.takes_ids_as_written(channel)
                && (matches!(words, ConfiguredAdapters::Empty(_)) || !was_exposed(channel))
        });
        new.remembered.adapters = adapters.ok()?;
        Some(new)
    }

    /// Whether ids on a channel count as written, so that a stranger could use the id of another sender.
    fn takes_ids_as_written(&self, channel: &ChannelId) -> bool {
        let has_adapter = self.read.adapters().iter().any(|adapter| adapter.channel == *channel);
        self.modes.decides_on(channel) && !has_adapter
    }

    /// Whether a stranger on this account is admitted.
    fn admits(&self, account: &str) -> bool {
        let is = |known: &crate::Account| known.account.as_str() == account;
        let is_known = self.in_force.accounts().is_none_or(|known| known.iter().any(is));
        is_known && self.in_force.policy("irc", account).mode == Mode::Open
    }
}

fn irc() -> ChannelId {
    ChannelId::parse("irc").unwrap()
}

/// The accounts that strangers write to; the last one is never configured.
const ACCOUNTS: &[&str] = &["bot", "bot2", "b", "other"];

const CONFIGURED: &str = "pairing:
  accounts:
  - channel: irc
    account: bot
  - channel: irc
    account: bot2
    mode: allowlist
  gate:
    mode: pairing
  audit_days: 30
";

/// A configuration with a channel whose ids are normalized by a plugin.
const ADAPTED: &str = "pairing:
  gate: { mode: allowlist }
  adapters:
  - channel: pigeon
    prefix: plugin.pigeon
  - channel: irc
    prefix: plugin.irc
  accounts:
  - channel: irc
    account: bot
";

/// A configuration whose default is more open than an account.
const OPEN: &str = "pairing:
  gate:
    mode: open
  accounts:
  - channel: irc
    account: bot2
    mode: allowlist
";

#[test]
fn no_part_of_a_file_admits_a_stranger_that_the_whole_file_rejects() {
    for whole in [CONFIGURED, OPEN, ADAPTED] {
        let running = Running::start(Some(whole), &Remembered::default()).unwrap();
        for length in 0..whole.len() {
            let part = &whole[..length];
            let reloaded = running.reload(&Written::still(Some(part)));
            // A process that starts has only the current file to go by.
            let started = Running::start(Some(part), &running.remembered);
            let started = started.filter(|_| !is_truncated(part));
            for after in [reloaded, started].into_iter().flatten() {
                for account in ACCOUNTS {
                    assert!(running.admits(account) || !after.admits(account), "{account}: {part}");
                }
                let is_raw = |of: &Running| of.takes_ids_as_written(&irc());
                assert!(is_raw(&running) || !is_raw(&after), "{part}");
                // The whole file restores everything.
                let again = after.reload(&Written::still(Some(whole))).unwrap();
                assert_eq!(again.in_force, running.in_force, "{part}");
            }
        }
    }
}

#[test]
fn a_reload_during_a_write_waits_for_the_whole_file_in_every_order() {
    let running = Running::start(Some(OPEN), &Remembered::default()).unwrap();
    // The old file, empty, growing line by line, and byte by byte in its middle, and complete.
    let cuts = (0..OPEN.len()).filter(|at| OPEN[..*at].ends_with('\n') || (60..90).contains(at));
    let mut states = vec![Some(OPEN.to_owned()), Some(String::new())];
    states.extend(cuts.map(|at| Some(OPEN[..at].to_owned())));
    states.push(Some(OPEN.replace("allowlist", "pairing")));
    let whole = [&states[0], states.last().unwrap()].map(Option::clone);
    let mut met = 0;
    for first in 0..states.len() {
        for read in first..states.len() {
            for last in read..states.len() {
                let files = Written::new(states.clone(), &[first, read, last]);
                let after = running.reload(&files).unwrap_or_else(|| running.clone());
                for account in ACCOUNTS {
                    assert!(!after.admits(account), "{account}: {first}, {read}, {last}");
                }
                if first != last {
                    met += 1;
                    let mode = after.in_force.policy("irc", "bot2").mode;
                    assert_eq!(
                        mode,
                        Mode::Pairing,
                        "what was written last: {first}, {read}, {last}"
                    );
                    assert!(files.pauses.get() >= 2, "it let the writer go on");
                }
            }
        }
    }
    assert!(met > 1000 && whole[0] != whole[1], "{met} orders");
}

/// Every key except modes and accounts, one per line.
const WHOLE: &str = "pairing:
  gate: { mode: allowlist, notices: own, language: es, max_pending: 7 }
  session_ttl_secs: 600
  on_replay: refuse
  public_url: wss://nexo.example.com/pair
  ws_cleartext_allow: [kitchen-pi.local]
  trusted_proxies: [127.0.0.1]
  nats: { servers: ['nats://127.0.0.1:4222'], user: ana, password_file: /nonexistent/password }
  adapters:
  - channel: signal
    prefix: plugin.signal
  - channel: pigeon
    prefix: plugin.pigeon
    format: broker
    cache_ttl_secs: 9
  audit_days: 30
";

#[test]
fn a_reload_keeps_what_a_file_lost_wherever_it_was_truncated() {
    let old = sources().load_from(&Written::still(Some(WHOLE)), None).unwrap();
    let whole = Config { kept: Vec::new(), ..old.clone() };
    let mut lost = 0;
    for (end, _) in WHOLE.match_indices('\n') {
        let part = &WHOLE[..=end];
        let Ok(new) = sources().load_from(&Written::still(Some(part)), Some(&old)) else {
            continue;
        };
        assert_eq!(new.adapters(), old.adapters(), "{part}");
        assert_eq!(new.kept().is_empty(), part == WHOLE, "{part}");
        lost += usize::from(part != WHOLE);
        let new = Config { kept: Vec::new(), ..new };
        assert_eq!(Config { provenance: whole.provenance.clone(), ..new.clone() }, whole, "{part}");
        // A second reload does not lose what the first one kept.
        let again = sources().load_from(&Written::still(Some(part)), Some(&new)).unwrap();
        assert_eq!(Config { kept: Vec::new(), ..again }, new, "{part}");
    }
    assert!(lost >= 10, "{lost} parts");
}

#[test]
fn a_reload_applies_explicit_changes() {
    let old = sources().load_from(&Written::still(Some(WHOLE)), None).unwrap();
    let reload = |text: &str| sources().load_from(&Written::still(Some(text)), Some(&old)).unwrap();
    let new =
        reload("pairing:\n  adapters: []\n  trusted_proxies: []\n  gate: { notices: both }\n");
    assert_eq!((new.adapters().len(), new.trusted_proxies().len()), (0, 0));
    assert_eq!(new.notices(), crate::Notices::Both);
    assert!(new.kept().contains(&"session_ttl_secs".to_owned()), "{:?}", new.kept());

    let new = reload("pairing:\n  adapters: [{ channel: pigeon, prefix: plugin.dove }]\n");
    let prefixes: Vec<_> = new.adapters().iter().map(|adapter| &*adapter.prefix).collect();
    assert_eq!(prefixes, ["plugin.dove", "plugin.signal"]);
    for kept in ["adapters[signal]", "adapters[pigeon].format", "adapters[pigeon].cache_ttl_secs"] {
        assert!(new.kept().contains(&kept.to_owned()), "{kept}: {:?}", new.kept());
    }
    // A second way to log in.
    let new = reload("pairing:\n  nats: { token_file: /nonexistent/token }\n");
    assert_eq!((new.nats().user.as_deref(), new.nats().servers.len()), (None, 1));
}

#[test]
fn a_file_that_is_written_all_the_time_is_an_error() {
    let running = Running::start(Some(OPEN), &Remembered::default()).unwrap();
    let states: Vec<_> = (0..100).map(|_| Some(OPEN.to_owned())).collect();
    let order: Vec<usize> = (0..99).collect();
    let files = Written::new(states, &order);
    let error = sources().load_from(&files, Some(&running.read)).unwrap_err();
    assert!(matches!(error, ConfigError::Changing { .. }), "{error}");
    assert_eq!(files.order.borrow().len(), 99 - 3 * ATTEMPTS as usize);
}
