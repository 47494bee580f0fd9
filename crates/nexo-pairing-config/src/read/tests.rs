//! What a process makes of a file that is lost, changed or being written: strangers whom it refused
//! are admitted only where the new file says so.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use nexo_pairing_core::{Mode, RememberedModes};
use proptest::prelude::*;

use super::*;
use crate::{Config, Sources};

/// A file that others write: each look at it meets the next state of `order`, and the last one for
/// ever after. `None` is no file.
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

    /// Nobody writes.
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
    fn open(&self, _: &Path) -> io::Result<Box<dyn OpenFile>> {
        match self.order.borrow().front().map_or(&self.states[self.last], |at| &self.states[*at]) {
            Some(_) => Ok(Box::new(self.clone())),
            None => Err(ErrorKind::NotFound.into()),
        }
    }

    fn stamp(&self, _: &Path) -> io::Result<Option<Stamp>> {
        Ok(self.look_at_stamp())
    }

    fn is_there(&self, _: &Path) -> bool {
        false
    }

    fn pause(&self) {
        self.pauses.set(self.pauses.get() + 1);
    }
}

impl OpenFile for Written {
    fn stamp(&self) -> io::Result<Option<Stamp>> {
        Ok(self.look_at_stamp())
    }

    fn read(&mut self, _: u64) -> io::Result<Vec<u8>> {
        Ok(self.look().1.unwrap_or_default().as_bytes().to_vec())
    }
}

fn sources() -> Sources {
    Sources::from_vars([("NEXO_HOME", "/nonexistent")])
}

/// A process: what it read, and what is in force.
#[derive(Clone)]
struct Running {
    read: Config,
    in_force: Config,
    remembered: RememberedModes,
}

impl Running {
    /// As a process that starts after another one, whose modes are `remembered`.
    fn start(text: Option<&str>, remembered: &RememberedModes) -> Option<Self> {
        Self::with(sources().load_from(&Written::still(text)).ok()?, remembered)
    }

    /// As this process after a reload; on an error it stays what it was.
    fn reload(&self, files: &dyn FileSystem) -> Option<Self> {
        Self::with(sources().reload_from(files, &self.read).ok()?, &self.remembered)
    }

    fn with(read: Config, remembered: &RememberedModes) -> Option<Self> {
        let modes = remembered.resolve(read.mode_words(), None).ok()?;
        let in_force = read.clone().with_modes(&modes);
        Some(Self { read, in_force, remembered: modes.remembered().clone() })
    }

    /// Whether a stranger on this account is admitted.
    fn admits(&self, account: &str) -> bool {
        let is = |known: &crate::Account| known.account.as_str() == account;
        let is_known = self.in_force.accounts().is_none_or(|known| known.iter().any(is));
        is_known && self.in_force.policy("irc", account).mode == Mode::Open
    }
}

/// The accounts that strangers write to; the last one is never named.
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

/// The same, where what is said for all opens what is said for one.
const OPEN: &str = "pairing:
  gate:
    mode: open
  accounts:
  - channel: irc
    account: bot2
    mode: allowlist
";

#[test]
fn no_part_of_a_file_admits_a_stranger_whom_the_whole_refused() {
    for whole in [CONFIGURED, OPEN] {
        let running = Running::start(Some(whole), &RememberedModes::default()).unwrap();
        for length in 0..whole.len() {
            let part = &whole[..length];
            let reloaded = running.reload(&Written::still(Some(part)));
            // A process that starts has nothing else to go by than the file as it stands.
            let started = Running::start(Some(part), &running.remembered);
            let started = started.filter(|_| !is_cut(part));
            for after in [reloaded, started].into_iter().flatten() {
                for account in ACCOUNTS {
                    assert!(running.admits(account) || !after.admits(account), "{account}: {part}");
                }
                // And the whole again finds everything as it was.
                let again = after.reload(&Written::still(Some(whole))).unwrap();
                assert_eq!(again.in_force, running.in_force, "{part}");
            }
        }
    }
}

#[test]
fn a_reload_that_meets_a_writer_waits_for_the_whole_file_in_every_order() {
    let running = Running::start(Some(OPEN), &RememberedModes::default()).unwrap();
    // The file as it was, emptied, growing line by line and byte by byte in its middle, and whole.
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

/// Everything that a file can say beside modes and accounts, one line each.
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
fn a_reload_keeps_what_a_file_lost_wherever_it_was_cut() {
    let old = sources().load_from(&Written::still(Some(WHOLE))).unwrap();
    let whole = Config { kept: Vec::new(), ..old.clone() };
    let mut lost = 0;
    for (end, _) in WHOLE.match_indices('\n') {
        let part = &WHOLE[..=end];
        let Ok(new) = sources().reload_from(&Written::still(Some(part)), &old) else { continue };
        assert_eq!(new.adapters(), old.adapters(), "{part}");
        assert_eq!(new.kept().is_empty(), part == WHOLE, "{part}");
        lost += usize::from(part != WHOLE);
        let new = Config { kept: Vec::new(), ..new };
        assert_eq!(Config { provenance: whole.provenance.clone(), ..new.clone() }, whole, "{part}");
        // And once more: what was kept is not lost by the second reload.
        let again = sources().reload_from(&Written::still(Some(part)), &new).unwrap();
        assert_eq!(Config { kept: Vec::new(), ..again }, new, "{part}");
    }
    assert!(lost >= 10, "{lost} parts");
}

#[test]
fn a_reload_takes_what_is_said_in_words() {
    let old = sources().load_from(&Written::still(Some(WHOLE))).unwrap();
    let reload = |text: &str| sources().reload_from(&Written::still(Some(text)), &old).unwrap();
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
    // There is one way to log in, and this is another.
    let new = reload("pairing:\n  nats: { token_file: /nonexistent/token }\n");
    assert_eq!((new.nats().user.as_deref(), new.nats().servers.len()), (None, 1));
}

#[test]
fn a_file_that_is_written_all_the_time_is_given_up() {
    let running = Running::start(Some(OPEN), &RememberedModes::default()).unwrap();
    let states: Vec<_> = (0..100).map(|_| Some(OPEN.to_owned())).collect();
    let order: Vec<usize> = (0..99).collect();
    let files = Written::new(states, &order);
    let error = sources().reload_from(&files, &running.read).unwrap_err();
    assert!(matches!(error, ConfigError::Changing { .. }), "{error}");
    assert_eq!(files.order.borrow().len(), 99 - 3 * ATTEMPTS as usize);
}

/// What a configuration says of modes: of all accounts, and of some.
#[derive(Debug, Clone)]
enum Said {
    NoFile,
    Nothing(&'static str),
    Modes(Option<Mode>, Option<Vec<(&'static str, Option<Mode>)>>),
}

impl Said {
    fn text(&self) -> Option<String> {
        let (default, accounts) = match self {
            Self::NoFile => return None,
            Self::Nothing(text) => return Some((*text).to_owned()),
            Self::Modes(default, accounts) => (default, accounts),
        };
        let mut text = "pairing:\n  audit_days: 30\n".to_owned();
        if let Some(mode) = default {
            text += &format!("  gate: {{ mode: {mode} }}\n");
        }
        if let Some(accounts) = accounts {
            let entry = |(account, mode): &(&str, Option<Mode>)| {
                let mode = mode.map(|mode| format!(", mode: {mode}")).unwrap_or_default();
                format!("{{ channel: irc, account: {account}{mode} }}")
            };
            let entries: Vec<String> = accounts.iter().map(entry).collect();
            text += &format!("  accounts: [{}]\n", entries.join(", "));
        }
        Some(text)
    }

    /// The words on one account alone.
    fn own(&self, account: &str) -> Option<Mode> {
        match self {
            Self::Modes(_, Some(accounts)) => {
                accounts.iter().find(|(named, _)| *named == account)?.1
            }
            _ => None,
        }
    }

    /// Whether the words are that strangers on this account are admitted.
    fn opens(&self, account: &str) -> bool {
        let default = if let Self::Modes(default, _) = self { *default } else { None };
        self.own(account).or(default) == Some(Mode::Open)
    }
}

fn said() -> impl Strategy<Value = Said> {
    let mode = prop_oneof![Just(Mode::Open), Just(Mode::Allowlist), Just(Mode::Pairing)];
    let mode = prop::option::of(mode);
    let named = prop::sample::subsequence(ACCOUNTS[..3].to_vec(), 0..=3);
    let accounts = (named, prop::collection::vec(mode.clone(), 3))
        .prop_map(|(named, modes)| named.into_iter().zip(modes).collect());
    prop_oneof![
        1 => Just(Said::NoFile),
        1 => prop::sample::select(vec!["", "# pairing:\n", "pairing:\n", "schema_version: 11\n"])
            .prop_map(Said::Nothing),
        8 => (mode, prop::option::of(accounts))
            .prop_map(|(default, accounts)| Said::Modes(default, accounts)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_configuration_admits_whom_another_refused_only_if_it_says_so(
        configurations in prop::collection::vec((said(), any::<bool>()), 2..5)
    ) {
        let mut running: Option<(Running, Said)> = None;
        for (said, is_reload) in configurations {
            let text = said.text();
            let Some((before, words)) = &running else {
                let started = Running::start(text.as_deref(), &RememberedModes::default());
                running = started.map(|started| (started, said));
                continue;
            };
            let after = match is_reload {
                true => before.reload(&Written::still(text.as_deref())),
                false => Running::start(text.as_deref(), &before.remembered),
            };
            let Some(after) = after else { continue };
            for account in ACCOUNTS {
                if after.admits(account) && !before.admits(account) {
                    prop_assert!(said.opens(account), "{account} by {said:?} after {words:?}");
                    let lost_its_own = words.own(account).is_some() && said.own(account).is_none();
                    prop_assert!(!lost_its_own, "{account} by {said:?} after {words:?}");
                }
            }
            running = Some((after, said));
        }
    }
}
