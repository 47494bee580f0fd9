//! Why JSON is no event.

/// Why JSON is no event.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EventError {
    /// It is no JSON, or not UTF-8.
    #[error("not JSON")]
    Json(#[source] serde_json::Error),
    /// A field is missing or of the wrong type.
    #[error("`{field}` has to be {expected}")]
    Field {
        /// The field.
        field: &'static str,
        /// What it has to be.
        expected: &'static str,
    },
    /// The topic is no inbound topic.
    #[error("the topic `{topic}` is not plugin.inbound.<channel>[.<account>]")]
    Topic {
        /// The topic, at most 200 characters of it.
        topic: String,
    },
    /// There is no sender, and it is not an event of the plugin itself.
    #[error("there is no `from`, and this is no event of the plugin itself")]
    NoSender,
}

impl EventError {
    /// The stable name of this kind of error, for programs.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Json(_) => "invalid_json",
            Self::Field { .. } => "invalid_field",
            Self::Topic { .. } => "invalid_topic",
            Self::NoSender => "no_sender",
        }
    }
}
