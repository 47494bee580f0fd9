//! `features`: a library's features do not lean on one another.
//!
//! Which features there are is read from `cargo metadata`. Clippy looks rather than the compiler,
//! so that code which is unused without a feature is found, too; everything with all features is
//! the step `clippy`.

use crate::context::{self, Context, Outcome};
use crate::metadata::Member;

pub(crate) fn run(context: &Context) -> Outcome {
    for arguments in context.metadata()?.members.iter().flat_map(combinations) {
        let mut command = context.cargo(&["clippy", "--locked"]);
        context::run(command.args(arguments).args(["--", "-D", "warnings"]))?;
    }
    Ok(())
}

/// What cargo is told for a member with none of its features and then with each alone; nothing for
/// one without features.
fn combinations(member: &Member) -> Vec<Vec<&str>> {
    if member.features.is_empty() {
        return Vec::new();
    }
    let none = vec!["--package", &member.name, "--no-default-features"];
    let alone = member.features.iter().map(|feature| {
        let mut arguments = none.clone();
        arguments.extend(["--features", feature]);
        arguments
    });
    std::iter::once(none.clone()).chain(alone).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(features: &[&str]) -> Member {
        Member {
            name: "facade".into(),
            features: features.iter().map(|&feature| feature.to_owned()).collect(),
            is_published: true,
            rust_version: None,
            dependencies: Vec::new(),
        }
    }

    #[test]
    fn none_and_each_alone() {
        let member = member(&["default", "store"]);
        let base = ["--package", "facade", "--no-default-features"];
        assert_eq!(
            combinations(&member),
            [
                base.to_vec(),
                [&base[..], &["--features", "default"]].concat(),
                [&base[..], &["--features", "store"]].concat()
            ]
        );
    }

    #[test]
    fn a_member_without_features_is_left_to_the_other_steps() {
        assert!(combinations(&member(&[])).is_empty());
    }
}
