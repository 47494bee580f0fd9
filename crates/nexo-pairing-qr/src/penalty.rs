//! The penalty score of ISO/IEC 18004, by which the mask is chosen.
//!
//! The crate `qrcode` adds its own up in 16 bits, which some texts overflow.

/// The finder pattern with four light modules beside it; true is dark.
const FINDER_LIKE: [[bool; 11]; 2] = [
    [true, false, true, true, true, false, true, false, false, false, false],
    [false, false, false, false, true, false, true, true, true, false, true],
];

/// The penalty of a symbol that is `width` modules wide, row by row; true is dark. Lower is better.
pub(crate) fn penalty(width: usize, modules: &[bool]) -> usize {
    let columns: Vec<bool> =
        (0..modules.len()).map(|i| modules[i % width * width + i / width]).collect();
    let rows = || modules.chunks_exact(width);
    let lines = || rows().chain(columns.chunks_exact(width));
    let runs: usize = lines().map(runs).sum();
    let finder_like: usize = lines().map(finder_like).sum();
    let blocks: usize = rows().zip(rows().skip(1)).map(|(upper, lower)| blocks(upper, lower)).sum();
    runs + 40 * finder_like + 3 * blocks + 10 * imbalance(modules)
}

/// Each run of at least five equal modules counts as its length minus two.
fn runs(line: &[bool]) -> usize {
    let lengths = line.chunk_by(|a, b| a == b).map(<[bool]>::len);
    lengths.filter(|&length| length >= 5).map(|length| length - 2).sum()
}

fn finder_like(line: &[bool]) -> usize {
    line.windows(11).filter(|window| FINDER_LIKE.iter().any(|known| window == known)).count()
}

/// The blocks of two by two equal modules in two rows. They may overlap.
fn blocks(upper: &[bool], lower: &[bool]) -> usize {
    let pairs = upper.windows(2).zip(lower.windows(2));
    pairs.filter(|(upper, lower)| upper == lower && upper[0] == upper[1]).count()
}

/// How far the share of dark modules is from 50 %, in whole steps of 5 %.
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
    fn runs_count_from_five_modules() {
        for (text, cost) in
            [("####", 0), ("#####", 3), ("......", 4), ("#####.....#", 6), ("#.#####", 3)]
        {
            assert_eq!(runs(&line(text)), cost, "{text}");
        }
    }

    #[test]
    fn finder_like_patterns_count_with_the_light_modules_on_either_side() {
        for (text, count) in [
            ("#.###.#....", 1),
            ("....#.###.#", 1),
            ("....#.###.#....", 2),
            ("...#.###.#...", 0),
            ("#.####.#....", 0),
            ("##.###.#....#.###.#", 2),
        ] {
            assert_eq!(finder_like(&line(text)), count, "{text}");
        }
    }

    #[test]
    fn blocks_have_one_colour_and_may_overlap() {
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
    fn imbalance_counts_steps_of_five_percent_away_from_half() {
        for (dark, steps) in [(50, 0), (54, 0), (55, 1), (46, 0), (45, 1), (100, 10), (0, 10)] {
            let modules: Vec<bool> = (0..100).map(|i| i < dark).collect();
            assert_eq!(imbalance(&modules), steps, "{dark} %");
        }
    }

    #[test]
    fn rows_and_columns_weigh_the_same() {
        // Every column is one run of 177, every row changes with each module.
        let stripes: Vec<bool> = (0..177 * 177).map(|i| i % 177 % 2 == 0).collect();
        assert_eq!(penalty(177, &stripes), 177 * 175);
        let turned: Vec<bool> = (0..177 * 177).map(|i| i / 177 % 2 == 0).collect();
        assert_eq!(penalty(177, &turned), 177 * 175);
        // A single colour exceeds 16 bits.
        let dark = vec![true; 177 * 177];
        assert_eq!(penalty(177, &dark), 2 * 177 * 175 + 3 * 176 * 176 + 100);
    }
}
