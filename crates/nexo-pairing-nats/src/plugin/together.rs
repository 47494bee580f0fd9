//! One question at a time for each sender: who asks the same gets the same answer.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// What the plugin said of a sender, or why nothing is known.
pub(super) type Said = Result<Option<String>, String>;

/// The senders that are being asked for.
#[derive(Debug, Default)]
pub(super) struct Together(Mutex<HashMap<Box<str>, watch::Receiver<Option<Said>>>>);

/// Whether one has to ask, or somebody else does.
pub(super) enum Turn<'a> {
    Ask(Asking<'a>),
    Wait(watch::Receiver<Option<Said>>),
}

impl Together {
    pub(super) fn turn(&self, raw: &str) -> Turn<'_> {
        let mut asked = self.lock();
        if let Some(said) = asked.get(raw) {
            return Turn::Wait(said.clone());
        }
        let (tell, said) = watch::channel(None);
        asked.insert(raw.into(), said);
        Turn::Ask(Asking { raw: raw.into(), tell, of: self })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Box<str>, watch::Receiver<Option<Said>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The one who asks. When he is dropped, the others learn that he got no answer.
pub(super) struct Asking<'a> {
    raw: Box<str>,
    tell: watch::Sender<Option<Said>>,
    of: &'a Together,
}

impl Asking<'_> {
    pub(super) fn tell(&self, said: Said) {
        self.tell.send_replace(Some(said));
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.of.lock().remove(&self.raw);
    }
}

/// Waits for what the other one is told.
pub(super) async fn wait(mut said: watch::Receiver<Option<Said>>) -> Said {
    let told = said.wait_for(Option::is_some).await;
    let gave_up = || Err("the one who asked gave up".to_owned());
    told.ok().and_then(|said| said.clone()).unwrap_or_else(gave_up)
}
