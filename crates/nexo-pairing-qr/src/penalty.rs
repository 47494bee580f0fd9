//! How badly a symbol would read: the penalty of ISO/IEC 18004 by which its mask is chosen.

use crate::matrix::{Line, Matrix};

/// The penalty; less is better.
pub(crate) fn penalty(matrix: &Matrix) -> u32 {
    let width = matrix.width();
    let lines = || matrix.rows.iter().chain(&matrix.columns).copied();
    let runs: u32 = lines().map(|line| runs(line, width)).sum();
    let finders: u32 = lines().map(|line| look_alikes(line, width)).sum();
    let blocks: u32 = matrix.rows.windows(2).map(|pair| blocks(pair[0], pair[1], width)).sum();
    runs + 3 * blocks + 40 * finders + 10 * imbalance(matrix)
}

/// For every run of at least five equal modules its length less two.
fn runs(line: Line, width: usize) -> u32 {
    // Where a window of five equal modules begins: a run of n has n − 4 of them in a row.
    let same = equal_to_next(line, width);
    let windows = same & (same >> 1) & (same >> 2) & (same >> 3);
    let ends = windows & !(windows >> 1);
    windows.count() + 2 * ends.count()
}

/// How many times the line looks like a finder pattern, 1:1:3:1:1 dark and light, with four light
/// modules before or after it.
fn look_alikes(line: Line, width: usize) -> u32 {
    let light = !line;
    let core =
        line & (light >> 1) & (line >> 2) & (line >> 3) & (line >> 4) & (light >> 5) & (line >> 6);
    let four_light = light & (light >> 1) & (light >> 2) & (light >> 3);
    // Eleven modules in all, so the last begins ten before the end.
    let begins = Line::first(width.saturating_sub(10));
    (core & (four_light >> 7) & begins).count() + (four_light & (core >> 4) & begins).count()
}

/// How many squares of two by two equal modules there are, one over the other.
fn blocks(upper: Line, lower: Line, width: usize) -> u32 {
    (equal_to_next(upper, width) & equal_to_next(lower, width) & !(upper ^ lower)).count()
}

/// How many whole steps of 5 % the dark modules are away from half of them.
fn imbalance(matrix: &Matrix) -> u32 {
    let all = (matrix.width() * matrix.width()) as u32;
    let dark: u32 = matrix.rows.iter().map(|row| row.count()).sum();
    (20 * dark).abs_diff(10 * all) / all.max(1)
}

/// The modules that are like the one after them.
fn equal_to_next(line: Line, width: usize) -> Line {
    !(line ^ (line >> 1)) & Line::first(width.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same, module by module, as the standard words it.
    fn slowly(width: usize, modules: &[bool]) -> u32 {
        let at = |x: usize, y: usize| modules[y * width + x];
        let mut sum = 0;
        for i in 0..width {
            let row: Vec<bool> = (0..width).map(|x| at(x, i)).collect();
            let column: Vec<bool> = (0..width).map(|y| at(i, y)).collect();
            for line in [row, column] {
                for run in line.chunk_by(|a, b| a == b) {
                    sum += if run.len() >= 5 { run.len() as u32 - 2 } else { 0 };
                }
                for eleven in line.windows(11) {
                    let text: String = eleven.iter().map(|&d| if d { '1' } else { '0' }).collect();
                    sum += if text == "10111010000" || text == "00001011101" { 40 } else { 0 };
                }
            }
        }
        for y in 1..width {
            for x in 1..width {
                let square = [at(x - 1, y - 1), at(x, y - 1), at(x - 1, y), at(x, y)];
                sum += if square.iter().all(|&d| d == square[0]) { 3 } else { 0 };
            }
        }
        let dark = modules.iter().filter(|&&dark| dark).count() as f64;
        let percent = 100.0 * dark / modules.len() as f64;
        sum + 10 * ((percent - 50.0).abs() / 5.0).floor() as u32
    }

    #[test]
    fn one_colour_is_the_worst() {
        let dark = vec![true; 177 * 177];
        let chess: Vec<bool> = (0..177 * 177).map(|i| i % 2 == 0).collect();
        let matrix = |modules: &[bool]| Matrix::new(177, modules);
        assert_eq!(penalty(&matrix(&dark)), slowly(177, &dark));
        // More than a u16 holds.
        assert!(penalty(&matrix(&dark)) > u32::from(u16::MAX));
        assert_eq!(penalty(&matrix(&chess)), 0);
    }

    proptest! {
        #[test]
        fn the_words_count_what_the_modules_show(
            // Runs of equal modules, so that everything that is counted occurs.
            runs in prop::collection::vec((any::<bool>(), 1usize..8), 1..9000),
            width in prop::sample::select(vec![21usize, 25, 61, 65, 69, 125, 129, 133, 177]),
        ) {
            let modules: Vec<bool> = runs
                .iter()
                .cycle()
                .flat_map(|&(dark, length)| std::iter::repeat_n(dark, length))
                .take(width * width)
                .collect();
            prop_assert_eq!(
                penalty(&Matrix::new(width, &modules)),
                slowly(width, &modules)
            );
        }
    }
}
