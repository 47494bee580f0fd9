//! `serve`: lets companions claim setup codes and services check sessions, for as long as it runs.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use nexo_pairing::SetupCodeIssuer;
use nexo_pairing::config::{Config, Process};
use nexo_pairing::server::{
    DEFAULT_LISTEN, MetricsOptions, Server, ServerHandle, ServerOptions, Settings, TlsFiles,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use url::Url;

use crate::context::Context;
use crate::error::{CliError, chain};
use crate::exit::Exit;
use crate::issuer::{blocking, open_issuer};
use crate::live_config::{LiveConfig, start_only};
use crate::modes::lost;
use crate::text::escape;

#[derive(Debug, Args)]
#[command(
    after_help = format!(
        "Companions claim at /pair, services ask at /session, and /healthz says whether all is \
        well.\n\nSIGTERM and SIGINT end it when what was begun is done, SIGHUP has it read the \
        configuration, the certificate and the keys again. A change of keys by another command it \
        notices by itself; {} are looked at when it starts.\n\n\
        Examples:\n  nexo-pair serve\n  \
        nexo-pair serve --listen 0.0.0.0:7780 --tls-cert fullchain.pem --tls-key privkey.pem",
        start_only(Process::Serve),
    )
)]
pub(crate) struct Serve {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", default_value_t = DEFAULT_LISTEN)]
    listen: SocketAddr,
    /// Where to show metrics, at /metrics, to anybody who gets there [default: nowhere].
    #[arg(long, value_name = "ADDRESS")]
    metrics_listen: Option<SocketAddr>,
    /// The certificate with its chain, as PEM; without it, there is no TLS.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The key of the certificate, as PEM; others must not be able to read it.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
}

pub(crate) async fn run(args: Serve, context: &mut Context) -> Result<Exit, CliError> {
    let mut live = LiveConfig::load(Process::Serve, context.sources())?;
    let config = live.current().clone();
    let no_signals = |source| CliError::Io { what: "listen to signals".to_owned(), source };
    // From the first moment on: otherwise they would end the process.
    let mut hang_up = signal(SignalKind::hangup()).map_err(no_signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(no_signals)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(no_signals)?;

    // Before the store is opened: what counts keeps the recorder that it finds.
    let metrics = args.metrics_listen.map(MetricsOptions::prometheus).transpose()?;
    let database = context.database_of(&config);
    let store = database.open().await?;
    let issuer = Arc::new(open_issuer(&config).await?);
    take_all_files();
    let mut options = ServerOptions::new(store, Arc::clone(&issuer));
    options.listen = args.listen;
    options.metrics = metrics;
    options.tls = args.tls_cert.zip(args.tls_key).map(|(cert, key)| TlsFiles::new(cert, key));
    options.settings = settings(&config);
    let has_tls = options.tls.is_some();
    let server = Server::bind(options).await?;
    let listening = Listening {
        listen: server.local_addr(),
        tls: has_tls,
        metrics: server.metrics_addr(),
        database: database.path().to_string_lossy().into_owned(),
    };
    context.print(&listening, || listening.for_people())?;
    if !has_tls && !listening.listen.ip().is_loopback() {
        let message = "without TLS, whoever is on the network between sees the session tokens; set \
                       --tls-cert and --tls-key, or listen on 127.0.0.1 behind a proxy that has TLS";
        context.warn("cleartext", message);
    }

    let handle = server.handle();
    let (end, ended) = oneshot::channel::<()>();
    let mut end = Some(end);
    let mut running = std::pin::pin!(server.run(async { drop(ended.await) }));
    loop {
        let asked = tokio::select! {
            () = running.as_mut() => break,
            asked = interrupt.recv() => asked,
            asked = terminate.recv() => asked,
            Some(()) = hang_up.recv() => {
                reload(&mut live, &handle, &issuer, context).await;
                continue;
            }
        };
        // Asked twice, it ends at once.
        if asked.is_some() && end.take().is_none() {
            break;
        }
    }
    Ok(Exit::Done)
}

/// The shape of `serve --json`.
#[derive(Serialize)]
struct Listening {
    listen: SocketAddr,
    tls: bool,
    metrics: Option<SocketAddr>,
    database: String,
}

impl Listening {
    fn for_people(&self) -> String {
        let Self { listen, metrics, database, .. } = self;
        let (ws, http) = if self.tls { ("wss", "https") } else { ("ws", "http") };
        let mut text =
            format!("claims: {ws}://{listen}/pair\nsessions: {http}://{listen}/session\n");
        if let Some(metrics) = metrics {
            text += &format!("metrics: http://{metrics}/metrics\n");
        }
        text + &format!("database: {}\n", escape(database))
    }
}

/// What the configuration says of a server.
fn settings(config: &Config) -> Settings {
    Settings::default()
        .with_session_ttl(config.session_ttl())
        .with_on_replay(config.on_replay())
        .with_allowed_origins(config.public_url().and_then(origin).into_iter().collect::<Vec<_>>())
        .with_trusted_proxies(config.trusted_proxies())
}

/// The origin, as browsers write it, of the page at which companions reach the gateway.
fn origin(public_url: &str) -> Option<String> {
    let origin = Url::parse(public_url).ok()?.origin();
    origin.is_tuple().then(|| origin.ascii_serialization().replacen("ws", "http", 1))
}

/// Lets this process have as many connections as it may: the usual limit is lower.
fn take_all_files() {
    let limit = getrlimit(Resource::Nofile);
    // If it cannot, the server gets along with what there is.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

/// Reads again what may have changed; what is wrong or lost stays as it was.
async fn reload(
    live: &mut LiveConfig,
    handle: &ServerHandle,
    issuer: &Arc<SetupCodeIssuer>,
    context: &mut Context,
) {
    match live.read_again().await {
        Ok(config) => {
            handle.set(settings(&config));
            live.take(config);
            context.note("the configuration was read again");
            lost(live.current()).for_each(|lost| context.warn("kept", &lost));
            live.needs_restart().for_each(|changed| context.note(&changed));
        }
        Err(error) => stays("configuration", &error, context),
    }
    if let Err(error) = handle.reload_tls().await {
        context.warn("tls", &format!("the old certificate stays in use: {}", chain(&error)));
    }
    let issuer = Arc::clone(issuer);
    match blocking("read the keys", move || issuer.reload()).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => stays("keys", &error.into(), context),
        Err(error) => stays("keys", &error, context),
    }
}

fn stays(what: &str, error: &CliError, context: &mut Context) {
    context.warn(error.kind(), &format!("the old {what} stays in use: {}", chain(error)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_at_the_public_url_may_claim() {
        for (url, expected) in [
            ("wss://nexo.example.com/pair", Some("https://nexo.example.com")),
            ("wss://Nexo.example.com:443", Some("https://nexo.example.com")),
            ("https://nexo.example.com:8443/x", Some("https://nexo.example.com:8443")),
            ("ws://10.0.0.4:7780", Some("http://10.0.0.4:7780")),
            ("http://[fd00::1]", Some("http://[fd00::1]")),
            ("mailto:ana@example.com", None),
            ("nexo.example.com", None),
        ] {
            assert_eq!(origin(url).as_deref(), expected, "{url}");
        }
    }
}
