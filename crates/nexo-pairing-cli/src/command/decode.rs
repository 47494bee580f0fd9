//! `decode`: the contents of a setup code, as a companion sees them.

use clap::Args;
use nexo_pairing::setup_code::{UnverifiedToken, decode_setup_code};
use nexo_pairing::{SetupCode, SetupCodeFormat};
use serde::Serialize;
use time::OffsetDateTime;

use crate::setup_code_input::CodeInput;
use crate::text::{escape, format_duration, format_time};
use crate::{Context, Result};

#[derive(Debug, Args)]
#[command(
    after_help = "The code is not verified: only the gateway that issued it can do that. Nothing is \
    sent, and the code is not used up.\n\n\
    Examples:\n  nexo-pair start --json | nexo-pair decode\n  nexo-pair decode --file code.txt"
)]
pub(crate) struct Decode {
    #[command(flatten)]
    code: CodeInput,
}

pub(crate) async fn run(args: Decode, context: &mut Context) -> Result {
    let payload = args.code.read(context).await?;
    print(&decode_setup_code(payload.as_str())?, context)
}

/// Prints the contents of a code, except its token.
pub(crate) fn print(code: &SetupCode, context: &mut Context) -> Result {
    let now = OffsetDateTime::now_utc();
    let decoded = Decoded::of(code, now);
    context.print(&decoded, || decoded.for_people(now))
}

/// The shape of `decode --json`.
#[derive(Serialize)]
struct Decoded<'a> {
    url: &'a str,
    #[serde(with = "time::serde::rfc3339")]
    expires_at: OffsetDateTime,
    expired: bool,
    /// `None` if only the server can read the token.
    profile: Option<String>,
    device_label: Option<String>,
    format: SetupCodeFormat,
}

impl<'a> Decoded<'a> {
    fn of(code: &'a SetupCode, now: OffsetDateTime) -> Self {
        // A companion needs nothing from the token, so it need not be readable.
        let token = UnverifiedToken::parse(&code.bootstrap_token);
        let claims = token.and_then(|token| token.read_claims()).ok();
        let (profile, device_label) =
            claims.map(|claims| (claims.profile, claims.device_label)).unzip();
        Self {
            url: &code.url,
            expires_at: code.expires_at,
            expired: code.has_expired(now),
            profile,
            device_label: device_label.flatten(),
            format: code.format(),
        }
    }

    fn for_people(&self, now: OffsetDateTime) -> String {
        let left = self.expires_at - now;
        let left = match (self.expired, left.is_positive()) {
            (true, _) => format!("{} ago", format_duration(-left)),
            (false, true) => format!("{} left", format_duration(left)),
            (false, false) => "just now, by this machine's clock".to_owned(),
        };
        let (profile, label) = (self.profile.as_deref(), self.device_label.as_deref());
        format!(
            "url:      {}\nprofile:  {}\ndevice:   {}\nexpires:  {} ({left})\nformat:   {}\n\
             not verified: only the gateway can verify the code\n",
            escape(self.url),
            profile.unwrap_or("not readable here"),
            label.map_or_else(|| "-".to_owned(), escape),
            format_time(self.expires_at),
            self.format,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sample of `docs/protocol.md`.
    const COMPACT: &str = "AICGWSOSHRNFUWS2LJNFUWS2LJNFUAAMIFXGCJ3TEBUVA2DPNZSQAEDOMV4G6LTFPBQW24DMMUXGG33NUWS2LJNFUWS2LJNFUWS2LJNFUU";

    #[test]
    fn the_token_is_not_shown() {
        let code = decode_setup_code(COMPACT).unwrap();
        let now = code.expires_at - time::Duration::seconds(42);
        let decoded = Decoded::of(&code, now);
        let json = serde_json::to_value(&decoded).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "url": "wss://nexo.example.com/pair", "expires_at": "2027-01-15T08:01:00Z",
                "expired": false, "profile": "companion-v1", "device_label": "Ana's iPhone",
                "format": "v2",
            })
        );
        let text = decoded.for_people(now);
        assert!(text.contains("(42 s left)") && text.contains("Ana's iPhone"), "{text}");
        assert!(!text.contains(COMPACT));
    }

    #[test]
    fn a_slightly_fast_clock_does_not_expire_a_code() {
        let code = decode_setup_code(COMPACT).unwrap();
        let at = |seconds| {
            let now = code.expires_at + time::Duration::seconds(seconds);
            let decoded = Decoded::of(&code, now);
            (decoded.expired, decoded.for_people(now))
        };
        let (expired, text) = at(29);
        assert!(!expired && text.contains("just now"), "{text}");
        let (expired, text) = at(30);
        assert!(expired && text.contains("(30 s ago)"), "{text}");
    }

    #[test]
    fn a_token_that_cannot_be_read_hides_neither_url_nor_expiry() {
        let expires_at = OffsetDateTime::UNIX_EPOCH;
        let code = SetupCode::new("wss://x/pair".into(), "e30.AAAA".into(), expires_at);
        let code = decode_setup_code(&code.payload().unwrap()).unwrap();
        let decoded = Decoded::of(&code, expires_at);
        assert_eq!((decoded.url, decoded.expires_at), ("wss://x/pair", expires_at));
        assert_eq!((decoded.profile.as_deref(), decoded.device_label.as_deref()), (None, None));
        assert!(decoded.for_people(expires_at).contains("not readable here"));
    }
}
