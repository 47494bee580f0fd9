//! Who waits for which answer.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::mpsc;
use uuid::Uuid;

/// The longest answer that is looked at, in bytes.
pub(crate) const MAX_ANSWER_BYTES: usize = 16 << 10;

/// How many answers to one question are kept: whoever sends more says nothing new.
const MAX_ANSWERS: usize = 4;

/// What came back.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The server: nobody listens on the subject.
    NoListener,
    /// The server: we may not publish on this subject.
    Forbidden(Box<str>),
    /// A message on our inbox: the answer to a plain request, or our own that came back.
    Plain(Bytes),
    /// The inside of one of Nexo's events.
    Nexo(Value),
}

/// The questions that wait for an answer.
#[derive(Debug, Default)]
pub(crate) struct Answers(Mutex<HashMap<Uuid, Question>>);

#[derive(Debug)]
struct Question {
    subject: Box<str>,
    asker: mpsc::Sender<Answer>,
}

impl Answers {
    /// Begins to wait for what comes back from a subject.
    pub(crate) fn expect(self: &Arc<Self>, subject: &str) -> Waiting {
        let (asker, answers) = mpsc::channel(MAX_ANSWERS);
        let id = Uuid::new_v4();
        self.lock().insert(id, Question { subject: subject.into(), asker });
        Waiting { id, answers, of: Arc::clone(self) }
    }

    pub(crate) fn give(&self, id: &Uuid, answer: Answer) {
        if let Some(question) = self.lock().get(id) {
            // Whoever did not listen to the first ones gets no more.
            let _ = question.asker.try_send(answer);
        }
    }

    /// Tells those who published on a subject that they may not.
    pub(crate) fn forbid(&self, subject: &str) {
        for question in self.lock().values().filter(|question| *question.subject == *subject) {
            let _ = question.asker.try_send(Answer::Forbidden(subject.into()));
        }
    }

    /// Takes an answer in one of Nexo's events: it names the question by its id.
    pub(crate) fn take_event(&self, event: &[u8]) {
        #[derive(Deserialize)]
        struct Event {
            payload: Reply,
        }
        #[derive(Deserialize)]
        struct Reply {
            id: Uuid,
            payload: Value,
        }
        if event.len() > MAX_ANSWER_BYTES {
            return;
        }
        if let Ok(Event { payload: Reply { id, payload } }) = serde_json::from_slice(event) {
            self.give(&id, Answer::Nexo(payload));
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, Question>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody who waits. When he no longer does, his question is forgotten.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) id: Uuid,
    answers: mpsc::Receiver<Answer>,
    of: Arc<Answers>,
}

impl Waiting {
    /// The next answer. There is always one who could give it, so it waits for ever.
    pub(crate) async fn next(&mut self) -> Answer {
        match self.answers.recv().await {
            Some(answer) => answer,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.of.lock().remove(&self.id);
    }
}

/// The subjects on which publishing was confirmed before. A refusal comes beside the confirmation, not
/// before it, so the first confirmation of a subject is not believed at once.
#[derive(Debug, Default)]
pub(crate) struct Proven(Mutex<HashSet<Box<str>>>);

impl Proven {
    /// How many subjects are remembered.
    const MAX: usize = 1024;

    pub(crate) fn contains(&self, subject: &str) -> bool {
        self.lock().contains(subject)
    }

    pub(crate) fn add(&self, subject: &str) {
        let mut proven = self.lock();
        if proven.len() >= Self::MAX {
            proven.clear();
        }
        proven.insert(subject.into());
    }

    pub(crate) fn remove(&self, subject: &str) {
        self.lock().remove(subject);
    }

    pub(crate) fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<Box<str>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
