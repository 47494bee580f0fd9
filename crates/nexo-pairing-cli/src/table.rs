//! Aligned columns for people.

use crate::text::cut;

/// The widest that a column gets, in characters.
const MAX_WIDTH: usize = 60;

/// A table; what others wrote is made visible and cut when it is put in.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns.
    pub(crate) fn new<const N: usize>(headers: [&str; N]) -> Self {
        Self { rows: vec![headers.map(str::to_owned).to_vec()] }
    }

    /// Adds a row.
    pub(crate) fn row<const N: usize>(&mut self, cells: [&str; N]) {
        self.rows.push(cells.map(|cell| cut(cell, MAX_WIDTH)).to_vec());
    }

    /// The table as lines, two spaces between the columns and none at the end of a line.
    pub(crate) fn render(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let mut widths = vec![0; columns];
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.chars().count().max(*width);
            }
        }
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (&width, cell) in widths.iter().zip(row) {
                line.push_str(&format!("{cell:<width$}  "));
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_end_clean() {
        let mut table = Table::new(["CODE", "NAME", ""]);
        table.row(["K7M9-PQ2X", "Ána", ""]);
        table.row(["A", "b\nc", "x"]);
        assert_eq!(table.render(), "CODE       NAME\nK7M9-PQ2X  Ána\nA          b\\nc  x\n");
    }

    #[test]
    fn a_wide_cell_does_not_push_the_others_away() {
        let mut table = Table::new(["A", "B"]);
        table.row([&"w".repeat(1000), "b"]);
        let longest = table.render().lines().map(|line| line.chars().count()).max();
        assert_eq!(longest, Some(MAX_WIDTH + 3));
    }
}
