//! A check as a value.

use std::fmt;

use futures_util::future::BoxFuture;

use super::installation::Installation;
use super::report::Finding;

/// Something that can be looked at.
#[derive(Clone, Copy)]
pub struct Check {
    name: &'static str,
    look: Look,
}

#[derive(Clone, Copy)]
enum Look {
    Now(fn(&Installation) -> Vec<Finding>),
    Waiting(for<'a> fn(&'a Installation) -> BoxFuture<'a, Vec<Finding>>),
}

impl Check {
    pub(super) const fn new(name: &'static str, look: fn(&Installation) -> Vec<Finding>) -> Self {
        Self { name, look: Look::Now(look) }
    }

    /// A check that waits for the database or for the file system.
    pub(super) const fn waiting(
        name: &'static str,
        look: for<'a> fn(&'a Installation) -> BoxFuture<'a, Vec<Finding>>,
    ) -> Self {
        Self { name, look: Look::Waiting(look) }
    }

    /// What it is called: stable, for programs. Its findings have this name, or one that tells more
    /// closely what they are about.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Looks; nothing is made or changed.
    pub async fn run(&self, installation: &Installation) -> Vec<Finding> {
        match self.look {
            Look::Now(look) => look(installation),
            Look::Waiting(look) => look(installation).await,
        }
    }
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Check").field(&self.name).finish()
    }
}
