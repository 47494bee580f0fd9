//! `start`: issues a setup code and shows it, for a companion to scan.

mod image;
mod live;
mod send;
mod view;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use nexo_pairing::config::{Account, Config};
use nexo_pairing::limits::LABEL_FORM;
use nexo_pairing::url_resolver::{ResolveError, ResolvedUrl, UrlInputs, UrlSource, resolve};
use nexo_pairing::{Actor, MAX_TTL, MIN_TTL, SetupCodeFormat, SetupEvent, SystemClock};
use serde::Serialize;
use time::OffsetDateTime;

use crate::issuer::open_issuer;
use crate::text::{escape, format_duration, shell_word};
use crate::{CliError, Context, Result};
use image::Image;
use send::{ChatSender, Destination, Sent};
use view::CodeView;

#[derive(Debug, Args)]
#[command(
    after_help = "On a terminal the code is hidden once it is used or expires; with --no-wait, --json or \
    without a terminal it is printed once.\n\nThe URL is the first of these that is set: --public-url, pairing.public_url, NEXO_TUNNEL_URL, the file state/tunnel.url below NEXO_HOME.\n\n\
    Examples:\n  nexo-pair start --public-url wss://nexo.example.com --for-device phone\n  \
    nexo-pair start --compact --qr-png code.png\n  \
    nexo-pair start --compact --send-via whatsapp:personal:+5491155556666"
)]
pub(crate) struct Start {
    #[arg(long, value_name = "NAME", help = format!("The name of the device: {LABEL_FORM}"))]
    for_device: Option<String>,
    /// Where companions reach the gateway; without a path, /pair is added.
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    #[arg(
        long, value_name = "SECONDS", allow_negative_numbers = true,
        help = format!(
            "How long the code is valid: {} to {} seconds; by default pairing.setup_code.default_ttl_secs",
            MIN_TTL.as_secs(),
            MAX_TTL.as_secs(),
        )
    )]
    ttl_secs: Option<i64>,
    /// A smaller code, for companions that read version 2.
    #[arg(long)]
    compact: bool,
    /// The profile of the companion.
    #[arg(long, value_name = "PROFILE", default_value = "companion-v1")]
    profile: String,
    /// Also write the code to a PNG file, which only you can read.
    #[arg(long, value_name = "PATH")]
    qr_png: Option<PathBuf>,
    /// Print the code once and do not wait until it is used.
    #[arg(long)]
    no_wait: bool,
    /// Also send the code over a chat channel, as an image if the channel supports that, else as text.
    /// Anybody who can read that chat can use it.
    #[arg(long, value_name = "CHANNEL:ACCOUNT:TO")]
    send_via: Option<Destination>,
    /// The NATS servers to send it through, instead of pairing.nats.servers.
    #[arg(long, value_name = "URL", value_delimiter = ',', requires = "send_via")]
    nats: Vec<String>,
}

pub(crate) async fn run(args: Start, context: &mut Context) -> Result {
    let config = context.sources().with_nats(args.nats.clone()).load()?;
    let resolved = resolve_url(&args, &config)?;
    let ttl = match args.ttl_secs {
        // Negative values map to 0, which the range check rejects.
        Some(secs) => Duration::from_secs(secs.try_into().unwrap_or(0)),
        None => config.setup_code_ttl(),
    };
    // Steps that can fail come before a code is issued that nobody would see.
    let database = context.database_of(&config);
    let store = database.open().await?;
    let image = args.qr_png.as_deref().map(Image::create).transpose()?;
    let sender = match &args.send_via {
        Some(to) => Some(ChatSender::new(to, &config).await?),
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
    let sent = match sender {
        Some(sender) => match sender.send(&payload).await {
            Ok(sent) => Some(sent),
            Err(error) => {
                // It may have arrived all the same.
                store.cancel(&claims, &Actor::cli()).await?;
                context.note("the setup code was not delivered, and is cancelled");
                return Err(error);
            }
        },
        None => None,
    };
    if let Some(Sent { form, channel, account_id, to }) = &sent {
        let to = format!("on {channel}/{account_id} to {to}");
        context.note(&escape(&format!("the setup code was sent as {form} {to}")));
    }
    if context.json() {
        let issued = Issued {
            url: &code.url,
            url_source: resolved.source.as_str(),
            bootstrap_token: &code.bootstrap_token,
            expires_at: code.expires_at,
            payload: &payload,
            format: code.format(),
            sent,
        };
        return context.print(&issued, String::new);
    }
    let view = CodeView::new(&code, &payload, &source(&resolved.source), context.io.colour)?;
    if context.io.screen && !args.no_wait {
        return live::show(view, claims, store, context).await;
    }
    context.print_text(&view.once(context.io.size()))
}

fn resolve_url(args: &Start, config: &Config) -> Result<ResolvedUrl> {
    let tunnel_url = std::env::var_os("NEXO_TUNNEL_URL");
    let inputs = UrlInputs::new(SystemClock::shared())
        .with_flag(args.public_url.clone())
        .with_public_url(config.public_url().map(str::to_owned))
        .with_tunnel_url(tunnel_url.map(|url| url.to_string_lossy().into_owned()))
        .with_tunnel_file(config.home().map(|home| home.join("state").join("tunnel.url")))
        .with_ws_cleartext_allow(config.ws_cleartext_allow().to_vec());
    resolve(&inputs).map_err(|error| {
        let is_unset = matches!(error, ResolveError::LoopbackOnly);
        let error = CliError::from(error);
        if is_unset { error.with_hint(unset_hint(config)) } else { error }
    })
}

/// How to set a URL, and how to let a sender in without a companion, for each configured account.
fn unset_hint(config: &Config) -> String {
    let seed = |account: &Account| {
        let words = [account.channel.as_str(), account.account.as_str()];
        format!("\n  nexo-pair seed {} SENDER", words.map(shell_word).join(" "))
    };
    let seeds: String = config.accounts().unwrap_or_default().iter().map(seed).collect();
    let or = if seeds.is_empty() { "" } else { "\nor let a sender in without a companion:" };
    format!(
        "set one: --public-url wss://HOST, or pairing.public_url in the configuration, or \
         NEXO_TUNNEL_URL{or}{seeds}"
    )
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

/// The output of `start --json`.
#[derive(Serialize)]
struct Issued<'a> {
    url: &'a str,
    url_source: &'static str,
    bootstrap_token: &'a str,
    #[serde(with = "time::serde::rfc3339")]
    expires_at: OffsetDateTime,
    payload: &'a str,
    format: SetupCodeFormat,
    #[serde(skip_serializing_if = "Option::is_none")]
    sent: Option<Sent>,
}
