//! The text that carries a code to a stranger.

use std::fmt;

use derive_setters::Setters;
use serde::{Deserialize, Serialize};

use crate::PairingCode;

/// A language of the built-in challenge text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Language {
    /// English.
    #[default]
    En,
    /// Spanish.
    Es,
    /// Portuguese.
    Pt,
}

names! {
    /// The ISO 639-1 code: `en`, `es` or `pt`.
    Language { En => "en", Es => "es", Pt => "pt" }
}

impl Language {
    /// The built-in text: the code and whom to give it to, but no command, host, path or version.
    fn template(self) -> &'static str {
        match self {
            Self::En => {
                "Your pairing code is {code}. Give it to the operator of this bot. \
                 It is valid for {minutes} min."
            }
            Self::Es => {
                "Tu código de emparejamiento es {code}. Dáselo al operador de este bot. \
                 Es válido durante {minutes} min."
            }
            Self::Pt => {
                "O seu código de pareamento é {code}. Informe-o ao operador deste bot. \
                 É válido por {minutes} min."
            }
        }
    }
}

/// A code to send to a stranger, and its wording.
///
/// ```
/// use nexo_pairing_core::{Challenge, PairingCode};
///
/// let code = PairingCode::parse("K7M9-PQ2X")?;
/// let text = Challenge::new(code, 60).plain_text();
/// assert!(text.contains("K7M9-PQ2X") && text.contains("60 min"));
/// # Ok::<(), nexo_pairing_core::CodeError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Setters)]
#[non_exhaustive]
#[setters(prefix = "with_")]
pub struct Challenge {
    /// The code.
    #[setters(skip)]
    pub code: PairingCode,
    /// The remaining validity in minutes, rounded up.
    #[setters(skip)]
    pub minutes: u64,
    /// The language of the built-in text. Default: English.
    pub language: Language,
    /// A text that replaces the built-in one; `{code}`, `{minutes}` and `{command}` are filled in.
    /// Default: the built-in text.
    #[setters(into)]
    pub template: Option<String>,
}

/// A part of a challenge text, for adapters that mark up the code or escape the rest.
#[derive(Clone, PartialEq, Eq)]
pub enum Segment<'a> {
    /// Ordinary text.
    Text(&'a str),
    /// Text to be copied exactly: the code, or the command with it.
    Verbatim(String),
}

impl fmt::Debug for Segment<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.debug_tuple("Text").field(text).finish(),
            // May contain the code.
            Self::Verbatim(_) => f.write_str("Verbatim(redacted)"),
        }
    }
}

impl Challenge {
    /// A challenge with the built-in English text, for a code that is valid for `minutes`.
    #[must_use]
    pub fn new(code: PairingCode, minutes: u64) -> Self {
        Self { code, minutes, language: Language::default(), template: None }
    }

    /// The text as segments, with placeholders filled in.
    #[must_use]
    pub fn segments(&self) -> Vec<Segment<'_>> {
        let mut rest = self.template.as_deref().unwrap_or(self.language.template());
        let mut segments = Vec::new();
        while let Some((at, placeholder)) = ["{code}", "{minutes}", "{command}"]
            .into_iter()
            .filter_map(|placeholder| Some((rest.find(placeholder)?, placeholder)))
            .min()
        {
            segments.push(Segment::Text(&rest[..at]));
            segments.push(Segment::Verbatim(match placeholder {
                "{code}" => self.code.to_string(),
                "{minutes}" => self.minutes.to_string(),
                _ => format!("nexo-pair approve {}", self.code.as_str()),
            }));
            rest = &rest[at + placeholder.len()..];
        }
        segments.push(Segment::Text(rest));
        segments.retain(|segment| *segment != Segment::Text(""));
        segments
    }

    /// The text for channels without markup.
    #[must_use]
    pub fn plain_text(&self) -> String {
        let mut text = String::new();
        for segment in self.segments() {
            match segment {
                Segment::Text(part) => text.push_str(part),
                Segment::Verbatim(exact) => text.push_str(&exact),
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn challenge() -> Challenge {
        Challenge::new(PairingCode::from_stored("K7M9PQ2X".into()), 42)
    }

    #[test]
    fn each_language_has_the_code_and_the_time_and_reveals_nothing_else() {
        for language in [Language::En, Language::Es, Language::Pt] {
            let text = challenge().with_language(language).plain_text();
            assert!(text.contains("K7M9-PQ2X") && text.contains("42 min"), "{text}");
            for telltale in ["nexo", "approve", "run", "/", "{", "}"] {
                assert!(!text.to_lowercase().contains(telltale), "{telltale} in {text}");
            }
        }
    }

    #[test]
    fn a_language_has_one_name_everywhere() {
        for (language, name) in [(Language::En, "en"), (Language::Es, "es"), (Language::Pt, "pt")] {
            assert_eq!((language.as_str(), language.to_string().as_str()), (name, name));
            assert_eq!(serde_json::to_value(language).unwrap(), name);
        }
    }

    #[test]
    fn debug_redacts_verbatim_segments() {
        let challenge = challenge();
        let shown = format!("{:?}", challenge.segments());
        assert!(shown.contains("Verbatim(redacted)") && !shown.contains("K7M9"), "{shown}");
        assert!(shown.contains("Your pairing code is"), "{shown}");
    }

    #[test]
    fn a_template_replaces_the_built_in_text() {
        let text = |template: &str| {
            challenge().with_language(Language::Es).with_template(template.to_owned()).plain_text()
        };
        assert_eq!(text("{code}{code}"), "K7M9-PQ2XK7M9-PQ2X");
        assert_eq!(text("run {command}!"), "run nexo-pair approve K7M9PQ2X!");
        assert_eq!(text("{minutes} {unknown} {cod"), "42 {unknown} {cod");
    }
}
