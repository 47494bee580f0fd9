//! Passes calls of the administration interface on to plugins, over the broker.
//!
//! A plugin declares a prefix of methods and one of subjects in `[plugin.admin]` of its manifest. The method
//! `nexo/admin/whatsapp/bot/list` with the prefixes `nexo/admin/whatsapp/` and `plugin.whatsapp.admin` is the
//! request `{"method", "params"}` on `plugin.whatsapp.admin.bot.list`; the reply is `{"ok", "result"?,
//! "error"?}`.

use std::sync::{PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use nexo_broker::{AnyBroker, BrokerHandle as _, Message};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// How long a plugin may take, unless its manifest says otherwise.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// The prefixes of the host's own methods, which no plugin gets.
pub const RESERVED_ADMIN_PREFIXES: &[&str] = &[
    "nexo/admin/agents/",
    "nexo/admin/credentials/",
    "nexo/admin/pairing/",
    "nexo/admin/llm/",
    "nexo/admin/channels/",
    "nexo/admin/tenants/",
    "nexo/admin/memory/",
    "nexo/admin/sessions/",
    "nexo/admin/snapshots/",
    "nexo/admin/policy/",
];

/// A plugin's reply.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PluginAdminResponse {
    /// Whether the call succeeded.
    pub ok: bool,
    /// The result if it did.
    #[serde(default)]
    pub result: Value,
    /// The error if it did not.
    #[serde(default)]
    pub error: String,
}

/// Which plugin serves which methods. Of several prefixes that match, the longest counts.
#[derive(Debug, Default)]
pub struct PluginAdminRouter {
    /// The longest prefix first.
    routes: RwLock<Vec<MatchInfo>>,
}

impl PluginAdminRouter {
    /// A router without plugins.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a plugin, in place of its earlier registration. `timeout` is 30 s by default.
    ///
    /// # Errors
    ///
    /// [`AdminRouteRegistrationError::Reserved`] if the prefix would take methods of the host.
    pub fn register(
        &self,
        plugin_id: &str,
        method_prefix: &str,
        broker_topic_prefix: &str,
        timeout: Option<Duration>,
    ) -> Result<(), AdminRouteRegistrationError> {
        let overlaps =
            |of: &&&str| method_prefix.starts_with(**of) || of.starts_with(method_prefix);
        if let Some(reserved) = RESERVED_ADMIN_PREFIXES.iter().find(overlaps) {
            let (requested, reserved) = (method_prefix.to_owned(), (*reserved).to_owned());
            return Err(AdminRouteRegistrationError::Reserved { requested, reserved });
        }
        let mut routes = self.routes.write().unwrap_or_else(PoisonError::into_inner);
        routes.retain(|route| route.plugin_id != plugin_id);
        routes.push(MatchInfo {
            plugin_id: plugin_id.to_owned(),
            broker_topic_prefix: broker_topic_prefix.to_owned(),
            method_prefix: method_prefix.to_owned(),
            timeout: timeout.unwrap_or(DEFAULT_TIMEOUT),
        });
        routes.sort_by(|one, other| {
            let by_length = other.method_prefix.len().cmp(&one.method_prefix.len());
            by_length.then_with(|| one.plugin_id.cmp(&other.plugin_id))
        });
        Ok(())
    }

    /// The plugin that serves a method.
    #[must_use]
    pub fn match_method(&self, method: &str) -> Option<MatchInfo> {
        self.read().iter().find(|route| method.starts_with(&route.method_prefix)).cloned()
    }

    /// Whether no plugin was added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.read().is_empty()
    }

    fn read(&self) -> RwLockReadGuard<'_, Vec<MatchInfo>> {
        self.routes.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How to reach the plugin that serves a method.
#[derive(Debug, Clone)]
pub struct MatchInfo {
    /// The plugin.
    pub plugin_id: String,
    /// The beginning of its subjects.
    pub broker_topic_prefix: String,
    /// The beginning of its methods.
    pub method_prefix: String,
    /// How long it may take.
    pub timeout: Duration,
}

/// The end of the subject for a method: what follows the prefix, with dots for slashes.
#[must_use]
pub fn method_to_broker_suffix(method: &str, prefix: &str) -> String {
    method.strip_prefix(prefix).unwrap_or(method).replace('/', ".")
}

/// Calls a method of a plugin.
///
/// # Errors
///
/// [`PluginAdminForwardError::Broker`] without a reply, and for a method that no subject can carry;
/// [`PluginAdminForwardError::ParseReply`] if the reply is malformed.
pub async fn forward_request(
    broker: &AnyBroker,
    info: MatchInfo,
    method: &str,
    params: Value,
) -> Result<PluginAdminResponse, PluginAdminForwardError> {
    use PluginAdminForwardError::{Broker, ParseReply};
    let suffix = method_to_broker_suffix(method, &info.method_prefix);
    let is_subject = |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, '*' | '>');
    if !suffix.chars().all(is_subject) || suffix.split('.').any(str::is_empty) {
        return Err(Broker(format!("no subject can carry the method `{}`", method.escape_debug())));
    }
    let topic = format!("{}.{suffix}", info.broker_topic_prefix);
    let request = Message::new(topic.as_str(), json!({ "method": method, "params": params }));
    let reply = broker.request(&topic, request, info.timeout).await;
    let reply = reply.map_err(|error| Broker(error.to_string()))?;
    serde_json::from_value(reply.payload).map_err(|error| {
        ParseReply(format!("plugin {} returned malformed admin reply: {error}", info.plugin_id))
    })
}

/// Why a plugin was not added.
#[derive(Debug, thiserror::Error)]
pub enum AdminRouteRegistrationError {
    /// The prefix would take methods of the host.
    #[error("method_prefix `{requested}` collides with daemon-reserved prefix `{reserved}`")]
    Reserved {
        /// The prefix of the plugin.
        requested: String,
        /// The prefix of the host.
        reserved: String,
    },
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum PluginAdminForwardError {
    /// There was no reply.
    #[error("broker error: {0}")]
    Broker(String),
    /// The reply is malformed.
    #[error("plugin reply parse error: {0}")]
    ParseReply(String),
}
