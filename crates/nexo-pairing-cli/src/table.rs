//! Aligned columns for people.

use crate::text::truncate;

/// The maximum width of a column, in characters.
const MAX_WIDTH: usize = 60;

/// A table. Cells are escaped and truncated.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Columns,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns.
    pub(crate) fn new<const N: usize>(headers: [&str; N]) -> Self {
        Self { columns: Columns::new(headers), rows: vec![cells(headers)] }
    }

    /// Adds a row.
    pub(crate) fn row<const N: usize>(&mut self, row: [&str; N]) {
        let row = cells(row);
        self.columns.fit(&row);
        self.rows.push(row);
    }

    /// The table as lines, two spaces between the columns and none at the end of a line.
    pub(crate) fn render(&self) -> String {
        self.rows.iter().map(|row| self.columns.line(row)).collect()
    }
}

/// The cells of a row, escaped and truncated.
pub(crate) fn cells<const N: usize>(row: [&str; N]) -> Vec<String> {
    row.map(|cell| truncate(cell, MAX_WIDTH)).to_vec()
}

/// The widths of columns, for a table that is too long to be held in memory.
#[derive(Debug, Default)]
pub(crate) struct Columns {
    widths: Vec<usize>,
    /// The number of fitted rows, without the headers.
    pub(crate) rows: usize,
}

impl Columns {
    /// Columns as wide as the headers.
    pub(crate) fn new<const N: usize>(headers: [&str; N]) -> Self {
        Self { widths: headers.map(|header| header.chars().count()).to_vec(), rows: 0 }
    }

    /// Widens the columns for a row.
    pub(crate) fn fit(&mut self, row: &[String]) {
        for (width, cell) in self.widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
        self.rows += 1;
    }

    /// A row as a line.
    pub(crate) fn line(&self, row: &[String]) -> String {
        let mut line = String::new();
        for (&width, cell) in self.widths.iter().zip(row) {
            line.push_str(&format!("{cell:<width$}  "));
        }
        line.truncate(line.trim_end().len());
        line.push('\n');
        line
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
