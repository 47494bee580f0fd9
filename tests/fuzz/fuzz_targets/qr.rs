//! Generated texts as QR codes: an independent decoder reads them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nexo_pairing_qr::{MAX_TEXT_BYTES, QrError, render_ansi, render_plain, size};
use rqrr::{Grid, SimpleGrid};

/// How wide the light margin is, in modules.
const QUIET_ZONE: usize = 4;

fuzz_target!(|text: &str| {
    let drawn = match render_plain(text) {
        Ok(drawn) => drawn,
        Err(QrError::Empty) => return assert!(text.is_empty()),
        Err(QrError::TooLong { .. }) => return assert!(text.len() > MAX_TEXT_BYTES),
        Err(error) => panic!("{error}"),
    };
    let lines: Vec<Vec<char>> = drawn.lines().map(|line| line.chars().collect()).collect();
    let expected = size(text).expect("it was drawn");
    assert_eq!(lines.len(), usize::from(expected.lines));
    assert!(lines.iter().all(|line| line.len() == usize::from(expected.columns)));
    assert_eq!(glyphs(&render_ansi(text).expect("it was drawn")), inverted(&drawn));

    let is_dark = |x: usize, y: usize| match (lines[y / 2][x], y % 2) {
        (' ', _) | ('▄', 0) | ('▀', 1) => true,
        ('█', _) | ('▄', 1) | ('▀', 0) => false,
        (other, _) => panic!("{other:?} is no part of a QR code"),
    };
    let width = usize::from(expected.columns);
    for (x, y) in (0..width).flat_map(|x| (0..width).map(move |y| (x, y))) {
        let is_margin = |at: usize| at < QUIET_ZONE || at >= width - QUIET_ZONE;
        assert!(!((is_margin(x) || is_margin(y)) && is_dark(x, y)), "the margin is light");
    }
    let grid = SimpleGrid::from_func(width - 2 * QUIET_ZONE, |x, y| {
        is_dark(x + QUIET_ZONE, y + QUIET_ZONE)
    });
    let (_, read) = Grid::new(grid).decode().expect("a QR code");
    assert_eq!(read, text);
});

/// The drawing without its colours.
fn glyphs(ansi: &str) -> String {
    let mut parts = ansi.split('\u{1b}');
    let mut glyphs = parts.next().unwrap_or_default().to_owned();
    glyphs.extend(parts.map(|part| part.split_once('m').expect("a colour").1));
    glyphs
}

/// Dark for light, which is what the characters of a coloured drawing are.
fn inverted(plain: &str) -> String {
    let invert = |c| match c {
        ' ' => '█',
        '█' => ' ',
        '▄' => '▀',
        '▀' => '▄',
        other => other,
    };
    plain.chars().map(invert).collect()
}
