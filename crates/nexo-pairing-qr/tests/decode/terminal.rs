//! A black and white terminal: it turns text back into pixels, and supports only what that takes.

use crate::picture::Picture;

/// The default colours of a terminal: 0 is black, 255 white.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Theme {
    ink: u8,
    paper: u8,
}

impl Theme {
    pub(crate) const DARK: Self = Self { ink: 230, paper: 30 };
    pub(crate) const LIGHT: Self = Self { ink: 30, paper: 230 };
}

/// How wide a character is, in pixels; it is twice as high.
const CELL: usize = 4;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Terminal {
    pub(crate) theme: Theme,
    /// Columns to the left and right of the text, lines above and below it.
    pub(crate) margin: usize,
    /// Pixels between two lines, in the default background.
    pub(crate) line_gap: usize,
}

/// One character with its colours.
#[derive(Debug, Clone, Copy)]
struct Cell {
    glyph: char,
    ink: u8,
    paper: u8,
}

impl Terminal {
    pub(crate) fn new(theme: Theme) -> Self {
        Self { theme, margin: 3, line_gap: 0 }
    }

    /// The screen after writing `text`.
    ///
    /// # Panics
    ///
    /// At sequences, colours and characters that no QR code needs.
    pub(crate) fn show(self, text: &str) -> Picture {
        let lines = self.cells(text);
        let columns = lines.iter().map(Vec::len).max().unwrap_or_default() + 2 * self.margin;
        let height = 2 * CELL + self.line_gap;
        Picture::new(columns * CELL, (lines.len() + 2 * self.margin) * height, |x, y| {
            let line = (y / height).checked_sub(self.margin).and_then(|line| lines.get(line));
            let column = (x / CELL).checked_sub(self.margin);
            match line.zip(column).and_then(|(line, column)| line.get(column)) {
                Some(cell) => cell.pixel(y % height),
                None => self.theme.paper,
            }
        })
    }

    fn cells(self, text: &str) -> Vec<Vec<Cell>> {
        let mut lines = vec![Vec::new()];
        let Theme { mut ink, mut paper } = self.theme;
        let mut rest = text;
        while let Some(next) = rest.chars().next() {
            if let Some(sequence) = rest.strip_prefix("\u{1b}[") {
                let (parameters, after) = sequence.split_once('m').expect("an SGR sequence");
                rest = after;
                match *parameters.split(';').collect::<Vec<_>>() {
                    ["0"] => Theme { ink, paper } = self.theme,
                    ["38", "5", colour] => ink = shade(colour),
                    ["48", "5", colour] => paper = shade(colour),
                    _ => panic!("the terminal does not know {parameters}"),
                }
                continue;
            }
            rest = &rest[next.len_utf8()..];
            match next {
                '\n' => lines.push(Vec::new()),
                glyph => lines.last_mut().expect("a line").push(Cell { glyph, ink, paper }),
            }
        }
        lines
    }
}

impl Cell {
    /// The shade `y` pixels below its top.
    fn pixel(self, y: usize) -> u8 {
        let is_ink = match self.glyph {
            ' ' => false,
            '█' => y < 2 * CELL,
            '▀' => y < CELL,
            '▄' => (CELL..2 * CELL).contains(&y),
            glyph => panic!("the terminal does not know {glyph:?}"),
        };
        if is_ink { self.ink } else { self.paper }
    }
}

/// The black and the white of the 256 colours that no theme changes.
fn shade(colour: &str) -> u8 {
    match colour {
        "16" => 0,
        "231" => 255,
        _ => panic!("the terminal does not know the colour {colour}"),
    }
}
