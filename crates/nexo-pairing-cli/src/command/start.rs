//! `start`: issues a setup code and shows it, for a companion to scan.

mod image;
mod live;
mod send;
mod view;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use nexo_pairing::config::Config;
use nexo_pairing::limits::LABEL_FORM;
use nexo_pairing::url_resolver::{ResolveError, ResolvedUrl, UrlInputs, UrlSource, resolve};
use nexo_pairing::{Actor, MAX_TTL, MIN_TTL, SetupCode, SetupEvent, SystemClock};
use serde::Serialize;

use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::issuer::open_issuer;
use crate::text::{escape, format_duration, shell_word};
use image::Image;
use send::{Courier, Sent, Via};
use view::View;

#[derive(Debug, Args)]
#[command(
    after_help = "On a terminal the code is taken away when it was used or has run out; with --no-wait, \
    --json or without a terminal it is printed once.\n\nWhere the URL comes from, the first that is set: \
    --public-url, pairing.public_url, NEXO_TUNNEL_URL, the file state/tunnel.url below NEXO_HOME.\n\n\
    Examples:\n  nexo-pair start --public-url wss://nexo.example.com --for-device phone\n  \
    nexo-pair start --compact --qr-png code.png\n  \
    nexo-pair start --compact --send-via whatsapp:personal:+5491155556666"
)]
pub(crate) struct Start {
    #[arg(long, value_name = "NAME", help = format!("What to call the device: {LABEL_FORM}"))]
    for_device: Option<String>,
    /// Where companions reach the gateway; without a path, /pair is added.
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    #[arg(
        long, value_name = "SECONDS", allow_negative_numbers = true,
        help = format!(
            "How long the code lives: {} to {} seconds; by default pairing.setup_code.default_ttl_secs",
            MIN_TTL.as_secs(),
            MAX_TTL.as_secs(),
        )
    )]
    ttl_secs: Option<i64>,
    /// A smaller code, for companions that read version 2.
    #[arg(long)]
    compact: bool,
    /// What the companion will be.
    #[arg(long, value_name = "PROFILE", default_value = "companion-v1")]
    profile: String,
    /// Also write the code to a PNG file, which only you can read.
    #[arg(long, value_name = "PATH")]
    qr_png: Option<PathBuf>,
    /// Print the code once and do not wait until it was used.
    #[arg(long)]
    no_wait: bool,
    /// Also send the code to somebody over a chat channel, as an image where the channel takes one, else as
    /// text. Whoever reads that chat can use it.
    #[arg(long, value_name = "CHANNEL:ACCOUNT:TO")]
    send_via: Option<Via>,
    /// The NATS servers to send it by, in place of those that pairing.nats.servers names.
    #[arg(long, value_name = "URL", value_delimiter = ',', requires = "send_via")]
    nats: Vec<String>,
}

pub(crate) async fn run(args: Start, context: &mut Context) -> Result<Exit, CliError> {
    let config = context.sources().with_nats(args.nats.clone()).load()?;
    let resolved = resolve_url(&args, &config)?;
    let ttl = match args.ttl_secs {
        // What is below nothing is refused with the same range as nothing.
        Some(secs) => Duration::from_secs(secs.try_into().unwrap_or(0)),
        None => config.setup_code_ttl(),
    };
    // Whatever can fail comes before there is a code that nobody would see.
    let database = context.database_of(&config);
    let store = database.open().await?;
    let image = args.qr_png.as_deref().map(Image::create).transpose()?;
    let courier = match &args.send_via {
        Some(via) => Some(Courier::find(via, &config).await?),
        None => None,
    };
    let issuer = open_issuer(&config).await?;
    let (url, label) = (resolved.url.as_str(), args.for_device.as_deref());
    let code = if args.compact {
        issuer.issue_compact(url, &args.profile, ttl, label)?
    } else {
        issuer.issue(url, &args.profile, ttl, label)?
    };
    let payload = code.payload()?;
    let claims = issuer.verify(&code.bootstrap_token)?;
    let issued = SetupEvent::CodeIssued {
        profile: claims.profile.clone(),
        device_label: claims.device_label.clone(),
        expires_at: claims.expires_at,
        url: code.url.clone(),
    };
    store.record(&Actor::cli(), issued).await?;

    for warning in &resolved.warnings {
        context.warn(warning.kind(), &warning.to_string());
    }
    if let Some(image) = image {
        let path = image.write(&nexo_pairing::qr::render_png(&payload)?)?;
        context.note(&format!("the QR code is in {}", path.display()));
    }
    let sent = match courier {
        Some(courier) => match courier.send(&payload).await {
            Ok(sent) => Some(sent),
            Err(error) => {
                // Nobody knows how far it got.
                store.cancel(&claims, &Actor::cli()).await?;
                context.note("the setup code was not handed over, and is taken back");
                return Err(error);
            }
        },
        None => None,
    };
    if let Some(sent) = &sent {
        context.note(&escape(&sent.for_people()));
    }
    if context.json() {
        let issued = Issued::new(&code, &resolved.source, &payload, sent.as_ref());
        context.print(&issued, String::new)?;
        return Ok(Exit::Done);
    }
    let view = View::new(&code, &payload, &source(&resolved.source), context.io.colour)?;
    if context.io.screen && !args.no_wait {
        return live::show(view, claims, store, context).await;
    }
    context.print_text(&view.once(context.io.size()))?;
    Ok(Exit::Done)
}

fn resolve_url(args: &Start, config: &Config) -> Result<ResolvedUrl, CliError> {
    let tunnel_url = std::env::var_os("NEXO_TUNNEL_URL");
    let inputs = UrlInputs::new(SystemClock::shared())
        .with_flag(args.public_url.clone())
        .with_public_url(config.public_url().map(str::to_owned))
        .with_tunnel_url(tunnel_url.map(|url| url.to_string_lossy().into_owned()))
        .with_tunnel_file(config.home().map(|home| home.join("state").join("tunnel.url")))
        .with_ws_cleartext_allow(config.ws_cleartext_allow().to_vec());
    resolve(&inputs).map_err(|error| match error {
        ResolveError::LoopbackOnly => CliError::LoopbackOnly { seeds: seeds(config) },
        error => error.into(),
    })
}

/// What lets somebody in without a companion, for each account that there is.
fn seeds(config: &Config) -> Vec<String> {
    let accounts = config.accounts().unwrap_or_default();
    let seed = |account: &nexo_pairing::config::Account| {
        let words = [account.channel.as_str(), account.account.as_str()];
        format!("nexo-pair seed {} SENDER", words.map(shell_word).join(" "))
    };
    accounts.iter().map(seed).collect()
}

/// Where a URL comes from, for people.
fn source(source: &UrlSource) -> String {
    match source {
        UrlSource::TunnelFile { path, age } => {
            let age = age.and_then(|age| time::Duration::try_from(age).ok());
            let age = age.map_or("from the future".to_owned(), |age| {
                format!("{} old", format_duration(age))
            });
            format!("{}, {age}", escape(&path.to_string_lossy()))
        }
        other => other.to_string(),
    }
}

/// The shape of `start --json`.
#[derive(Serialize)]
struct Issued<'a> {
    url: &'a str,
    url_source: &'static str,
    bootstrap_token: &'a str,
    #[serde(with = "time::serde::rfc3339")]
    expires_at: time::OffsetDateTime,
    payload: &'a str,
    format: nexo_pairing::SetupCodeFormat,
    #[serde(skip_serializing_if = "Option::is_none")]
    sent: Option<&'a Sent>,
}

impl<'a> Issued<'a> {
    fn new(
        code: &'a SetupCode,
        source: &UrlSource,
        payload: &'a str,
        sent: Option<&'a Sent>,
    ) -> Self {
        Self {
            url: &code.url,
            url_source: source.as_str(),
            bootstrap_token: &code.bootstrap_token,
            expires_at: code.expires_at,
            payload,
            format: code.format(),
            sent,
        }
    }
}
