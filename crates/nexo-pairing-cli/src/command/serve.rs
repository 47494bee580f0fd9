//! `serve`: the HTTP server at which companions claim setup codes and services check sessions.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use nexo_pairing::config::{Config, Process};
use nexo_pairing::server::{
    DEFAULT_LISTEN, MetricsOptions, Server, ServerHandle, ServerOptions, Settings, TlsFiles,
};
use nexo_pairing::{SessionBackend, SetupCodeIssuer};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::error::chain;
use crate::issuer::{blocking, open_issuer};
use crate::live_config::{LiveConfig, start_only};
use crate::modes::lost;
use crate::signals::{ReloadSignal, Signal};
use crate::text::escape;
use crate::{CliError, Context, Result};

#[derive(Debug, Args)]
#[command(
    after_help = format!(
        "Companions claim at /pair, services check sessions at /session, and /healthz reports the \
        health.\n\nSIGTERM and SIGINT end it once open requests are finished. SIGHUP reloads the \
        configuration, the certificate and the keys; keys that another command changed are reloaded \
        without it. {} are read only at startup.\n\n\
        Examples:\n  nexo-pair serve\n  \
        nexo-pair serve --listen 0.0.0.0:7780 --tls-cert fullchain.pem --tls-key privkey.pem",
        start_only(Process::Serve),
    )
)]
pub(crate) struct Serve {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", default_value_t = DEFAULT_LISTEN)]
    listen: SocketAddr,
    /// Where to serve metrics, at /metrics, without authentication [default: nowhere].
    #[arg(long, value_name = "ADDRESS")]
    metrics_listen: Option<SocketAddr>,
    /// The certificate with its chain, as PEM; without it, TLS is off.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The key of the certificate, as PEM; others must not be able to read it.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
}

pub(crate) async fn run(args: Serve, context: &mut Context) -> Result {
    let mut live = LiveConfig::load(Process::Serve, context.sources())?;
    let config = live.current().clone();
    // First: until then, a signal would end the process.
    let mut signals = ReloadSignal::listen()?.handle_all()?;

    // Before the store is opened: counters keep the recorder that is installed then.
    let metrics = args.metrics_listen.map(MetricsOptions::prometheus).transpose()?;
    let database = context.database_of(&config);
    let store: Arc<dyn SessionBackend> = database.open().await?;
    let issuer = Arc::new(open_issuer(&config).await?);
    raise_file_limit();
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
        let message = "without TLS, anybody on the network path sees the session tokens; set --tls-cert \
                       and --tls-key, or listen on 127.0.0.1 behind a proxy that terminates TLS";
        context.warn("cleartext", message);
    }

    let handle = server.handle();
    let stop = CancellationToken::new();
    let mut running = std::pin::pin!(server.run(stop.clone().cancelled_owned()));
    loop {
        let signal = tokio::select! {
            () = running.as_mut() => break,
            signal = signals.next() => signal,
        };
        match signal {
            Signal::Reload => reload(&mut live, &handle, &issuer, context).await,
            // The second time, it ends at once.
            Signal::End if stop.is_cancelled() => break,
            Signal::End => stop.cancel(),
        }
    }
    Ok(())
}

/// The output of `serve --json`.
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

/// The settings of the server in the configuration.
fn settings(config: &Config) -> Settings {
    Settings::default()
        .with_session_ttl(config.session_ttl())
        .with_on_replay(config.on_replay())
        .with_allowed_origins(config.public_url().and_then(origin).into_iter().collect::<Vec<_>>())
        .with_trusted_proxies(config.trusted_proxies())
}

/// The origin of the public URL, as browsers write it.
fn origin(public_url: &str) -> Option<String> {
    let origin = Url::parse(public_url).ok()?.origin();
    origin.is_tuple().then(|| origin.ascii_serialization().replacen("ws", "http", 1))
}

/// Raises the limit of open files, and so of connections, as far as the process may.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    // If that fails, the server works with the old limit.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

/// Reloads what may have changed. An invalid file leaves the previous settings in use.
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
        Err(error) => keep_old("configuration", &error, context),
    }
    if let Err(error) = handle.reload_tls().await {
        context.warn("tls", &format!("the old certificate stays in use: {}", chain(&error)));
    }
    let issuer = Arc::clone(issuer);
    match blocking("read the keys", move || issuer.reload()).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => keep_old("keys", &error.into(), context),
        Err(error) => keep_old("keys", &error, context),
    }
}

fn keep_old(what: &str, error: &CliError, context: &mut Context) {
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
