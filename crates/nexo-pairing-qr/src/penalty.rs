//! How badly a symbol would read: the penalty of ISO/IEC 18004 by which its mask is chosen.
//!
//! The crate `qrcode` has one as well, but adds it up in 16 bits, which some texts overflow, and takes
//! several times as long.

/// What looks like a finder pattern with light modules beside it, dark being true.
const LOOK_ALIKES: [[bool; 11]; 2] = [
    [true, false, true, true, true, false, true, false, false, false, false],
    [false, false, false, false, true, false, true, true, true, false, true],
];

/// The penalty of a square of `width` modules a side, row by row; true is dark. Less is better.
pub(crate) fn penalty(width: usize, modules: &[bool]) -> usize {
    let columns: Vec<bool> =
        (0..modules.len()).map(|i| modules[i % width * width + i / width]).collect();
    let rows = || modules.chunks_exact(width);
    let lines = || rows().chain(columns.chunks_exact(width));
    let runs: usize = lines().map(runs).sum();
    let look_alikes: usize = lines().map(look_alikes).sum();
    let blocks: usize = rows().zip(rows().skip(1)).map(|(upper, lower)| blocks(upper, lower)).sum();
    runs + 40 * look_alikes + 3 * blocks + 10 * imbalance(modules)
}

/// For every run of at least five equal modules its length less two.
fn runs(line: &[bool]) -> usize {
    let lengths = line.chunk_by(|a, b| a == b).map(<[bool]>::len);
    lengths.filter(|&length| length >= 5).map(|length| length - 2).sum()
}

fn look_alikes(line: &[bool]) -> usize {
    line.windows(11).filter(|window| LOOK_ALIKES.iter().any(|known| window == known)).count()
}

/// How many squares of two by two equal modules two rows make, which overlap.
fn blocks(upper: &[bool], lower: &[bool]) -> usize {
    let pairs = upper.windows(2).zip(lower.windows(2));
    pairs.filter(|(upper, lower)| upper == lower && upper[0] == upper[1]).count()
}

/// How many whole steps of 5 % the dark modules are away from half of them.
fn imbalance(modules: &[bool]) -> usize {
    let dark = modules.iter().filter(|&&is_dark| is_dark).count();
    (20 * dark).abs_diff(10 * modules.len()) / modules.len().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Vec<bool> {
        text.chars().map(|c| c == '#').collect()
    }

    #[test]
    fn a_run_costs_from_five_modules_on() {
        for (text, cost) in
            [("####", 0), ("#####", 3), ("......", 4), ("#####.....#", 6), ("#.#####", 3)]
        {
            assert_eq!(runs(&line(text)), cost, "{text}");
        }
    }

    #[test]
    fn what_looks_like_a_finder_pattern_is_counted_on_either_side() {
        for (text, count) in [
            ("#.###.#....", 1),
            ("....#.###.#", 1),
            ("....#.###.#....", 2),
            ("...#.###.#...", 0),
            ("#.####.#....", 0),
            ("##.###.#....#.###.#", 2),
        ] {
            assert_eq!(look_alikes(&line(text)), count, "{text}");
        }
    }

    #[test]
    fn blocks_are_of_one_colour_and_overlap() {
        for (upper, lower, count) in [
            ("##", "##", 1),
            ("..", "..", 1),
            ("##", "..", 0),
            ("#.", "#.", 0),
            ("###.", "####", 2),
        ] {
            assert_eq!(blocks(&line(upper), &line(lower)), count, "{upper} {lower}");
        }
    }

    #[test]
    fn dark_modules_should_be_half_of_all() {
        for (dark, steps) in [(50, 0), (54, 0), (55, 1), (46, 0), (45, 1), (100, 10), (0, 10)] {
            let modules: Vec<bool> = (0..100).map(|i| i < dark).collect();
            assert_eq!(imbalance(&modules), steps, "{dark} %");
        }
    }

    #[test]
    fn rows_and_columns_count_alike() {
        // Every column is one run of 177, every row changes with each module.
        let stripes: Vec<bool> = (0..177 * 177).map(|i| i % 177 % 2 == 0).collect();
        assert_eq!(penalty(177, &stripes), 177 * 175);
        let turned: Vec<bool> = (0..177 * 177).map(|i| i / 177 % 2 == 0).collect();
        assert_eq!(penalty(177, &turned), 177 * 175);
        // All of one colour is more than 16 bits hold.
        let dark = vec![true; 177 * 177];
        assert_eq!(penalty(177, &dark), 2 * 177 * 175 + 3 * 176 * 176 + 100);
    }
}
