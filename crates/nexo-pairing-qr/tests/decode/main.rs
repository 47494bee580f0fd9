//! Drawings, read by a decoder that shares nothing with the encoder.
#![expect(clippy::unwrap_used, reason = "a test stops at the first failure")]

mod picture;
mod terminal;

use nexo_pairing_qr::{MAX_TEXT_BYTES, render_ansi, render_plain, render_png, size};
use picture::Picture;
use proptest::prelude::*;
use terminal::{Terminal, Theme};

/// Like a setup code of version 1: JSON in base64url.
const V1: &str = include_str!("../data/v1.txt").trim_ascii();

/// Like a compact setup code: 78 bytes in base32.
const V2: &str = include_str!("../data/v2.txt").trim_ascii();

const PAYLOADS: [&str; 2] = [V1, V2];
const THEMES: [Theme; 2] = [Theme::DARK, Theme::LIGHT];

#[test]
fn coloured_codes_read_on_every_theme_and_at_every_scale() {
    for payload in PAYLOADS {
        for theme in THEMES {
            let shown = Terminal::new(theme).show(&render_ansi(payload).unwrap());
            for scale in 1..=3 {
                assert_eq!(shown.scaled(scale).read(), [payload], "{theme:?} ×{scale}");
            }
        }
    }
}

#[test]
fn colours_do_not_depend_on_the_theme() {
    for payload in PAYLOADS {
        let drawn = render_ansi(payload).unwrap();
        let dark = Terminal { margin: 0, ..Terminal::new(Theme::DARK) }.show(&drawn);
        let light = Terminal { margin: 0, ..Terminal::new(Theme::LIGHT) }.show(&drawn);
        assert!(dark == light);
    }
}

#[test]
fn plain_codes_read_on_a_dark_theme_and_inverted_on_a_light_one() {
    for payload in PAYLOADS {
        let drawn = render_plain(payload).unwrap();
        let dark = Terminal::new(Theme::DARK).show(&drawn);
        let light = Terminal::new(Theme::LIGHT).show(&drawn);
        for scale in 1..=3 {
            assert_eq!(dark.scaled(scale).read(), [payload], "×{scale}");
            assert_eq!(light.scaled(scale).inverted().read(), [payload], "×{scale}");
        }
    }
}

#[test]
fn coloured_codes_read_where_a_terminal_spaces_its_lines() {
    for payload in PAYLOADS {
        let drawn = render_ansi(payload).unwrap();
        for theme in THEMES {
            for line_gap in 1..=2 {
                let shown = Terminal { line_gap, ..Terminal::new(theme) }.show(&drawn);
                assert_eq!(shown.read(), [payload], "{theme:?} {line_gap}");
            }
        }
    }
}

#[test]
fn every_line_resets_the_colours() {
    for payload in PAYLOADS {
        let drawn = render_ansi(payload).unwrap();
        assert!(drawn.lines().all(|line| line.ends_with("\u{1b}[0m")));
        assert!(!drawn.ends_with('\n'));
    }
}

#[test]
fn plain_codes_only_have_block_characters() {
    for payload in PAYLOADS {
        let drawn = render_plain(payload).unwrap();
        assert!(drawn.chars().all(|c| matches!(c, '█' | '▀' | '▄' | ' ' | '\n')));
        assert!(!drawn.ends_with('\n'));
        // The quiet zone ends each line, so no editor strips trailing blanks.
        assert!(drawn.lines().all(|line| line.starts_with("████") && line.ends_with("████")));
    }
}

#[test]
fn the_size_is_that_of_the_drawing() {
    for payload in PAYLOADS.into_iter().chain(["a", &"é".repeat(MAX_TEXT_BYTES / 2)]) {
        let (size, drawn) = (size(payload).unwrap(), render_plain(payload).unwrap());
        assert_eq!(drawn.lines().count(), usize::from(size.lines));
        assert!(drawn.lines().all(|line| line.chars().count() == usize::from(size.columns)));
    }
}

#[test]
fn a_compact_code_fits_a_terminal() {
    let size = size(V2).unwrap();
    assert!(size.columns <= 49 && size.lines <= 25, "{size:?}");
}

#[test]
fn a_png_reads_at_every_scale() {
    for payload in PAYLOADS {
        let picture = Picture::of_png(&render_png(payload).unwrap());
        for scale in 1..=3 {
            assert_eq!(picture.scaled(scale).read(), [payload], "×{scale}");
        }
        // On a dark page only the quiet zone is light. A page that inverts its pictures needs a reader
        // for inverted codes.
        assert_eq!(picture.framed(64, 0).read(), [payload]);
        assert_eq!(picture.inverted().framed(64, 255).inverted().read(), [payload]);
    }
}

#[test]
fn a_png_is_small_and_its_modules_are_squares() {
    for (payload, most_bytes) in [("a", 700), (V2, 1500), (V1, 4000)] {
        let png = render_png(payload).unwrap();
        assert!(png.len() <= most_bytes, "{} bytes", png.len());
        let picture = Picture::of_png(&png);
        let modules = usize::from(size(payload).unwrap().columns);
        assert!(picture.width >= 256 && picture.width == picture.height);
        assert_eq!(picture.width % modules, 0);
        let module = picture.width / modules;
        assert!(picture.module_by_module(module).scaled(module) == picture);
        for (x, y) in (0..picture.width).flat_map(|x| (0..4 * module).map(move |y| (x, y))) {
            let last = picture.width - 1;
            for (x, y) in [(x, y), (y, x), (x, last - y), (last - y, x)] {
                assert_eq!(picture.at(x, y), 255, "the quiet zone at {x}, {y}");
            }
        }
    }
}

/// Texts of every kind, in sequence, of every length up to the limit.
fn any_text() -> impl Strategy<Value = String> {
    let run = prop_oneof!["[0-9]{1,900}", "[A-Z0-9 $%*+./:-]{1,900}", "[ -~]{1,900}", ".{1,300}"];
    prop::collection::vec(run, 1..5).prop_map(|runs| {
        let mut text = runs.concat();
        text.truncate(text.floor_char_boundary(MAX_TEXT_BYTES));
        text
    })
}

proptest! {
    // Each case draws and reads two pictures of up to 200 modules a side.
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_text_reads_back(text in any_text()) {
        let shown = Terminal::new(Theme::DARK).show(&render_ansi(&text).unwrap());
        prop_assert_eq!(shown.read(), [text.as_str()]);
        let picture = Picture::of_png(&render_png(&text).unwrap());
        prop_assert_eq!(picture.read(), [text]);
    }
}
