//! `layers`: the layer rule. Crates on one layer never import each other, and an arrow only points
//! down.
//!
//! Dependencies of tests are free: a test may put together what the crates themselves must not.

use crate::context::{Context, Failure, Outcome};
use crate::metadata::{Kind, Member};

/// The crates from the lowest layer to the highest. A new crate gets its place here before anything
/// else builds on it.
const LAYERS: &[&[&str]] = &[
    &["nexo-pairing-core"],
    &[
        "nexo-pairing-adapter-example",
        "nexo-pairing-config",
        "nexo-pairing-engine",
        "nexo-pairing-gate",
        "nexo-pairing-nats",
        "nexo-pairing-qr",
        "nexo-pairing-setup",
        "nexo-pairing-telegram",
        "nexo-pairing-whatsapp",
    ],
    &[
        "nexo-pairing-bus",
        "nexo-pairing-client",
        "nexo-pairing-conformance",
        "nexo-pairing-memory",
        "nexo-pairing-server",
        "nexo-pairing-store",
    ],
    &["nexo-pairing"],
    &["nexo-pairing-cli"],
];

/// Members that import what they like and that nobody imports who is not one of them.
const OUTSIDE: &[&str] =
    &["nexo-pairing-nats-server", "nexo-pairing-tests", "nexo-pairing-warm-path", "xtask"];

pub(crate) fn run(context: &Context) -> Outcome {
    let members = context.metadata()?.members;
    let problems = problems(&members);
    if !problems.is_empty() {
        return Err(Failure::list(&problems));
    }
    for (number, layer) in LAYERS.iter().enumerate() {
        let here = layer.iter().filter(|name| members.iter().any(|member| member.name == **name));
        let here: Vec<&str> = here.copied().collect();
        if !here.is_empty() {
            println!("{number}: {}", here.join(", "));
        }
    }
    Ok(())
}

fn problems(members: &[Member]) -> Vec<String> {
    members.iter().flat_map(problems_of).collect()
}

fn problems_of(member: &Member) -> Vec<String> {
    let name = &member.name;
    let own = layer(name);
    if own.is_none() && !OUTSIDE.contains(&name.as_str()) {
        return vec![format!("{name} has no place in the layer table of `cargo xtask layers`")];
    }
    let imports = member.dependencies.iter().filter(|import| import.kind != Kind::Dev);
    imports
        .filter_map(|import| {
            let import = import.name.as_str();
            if own.is_some() && OUTSIDE.contains(&import) {
                return Some(format!("{name} imports {import}, which nobody may import"));
            }
            let (own, below) = (own?, layer(import)?);
            (below >= own).then(|| {
                format!("{name} on layer {own} imports {import} on layer {below}; it must be lower")
            })
        })
        .collect()
}

fn layer(name: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::Dependency;

    fn member(name: &str, imports: &[(&str, Kind)]) -> Member {
        let dependencies =
            imports.iter().map(|&(name, kind)| Dependency { name: name.into(), kind }).collect();
        let (name, features) = (name.into(), Vec::new());
        Member { name, features, is_published: true, rust_version: None, dependencies }
    }

    #[test]
    fn down_is_allowed_also_past_a_layer_and_to_other_peoples_crates() {
        let members = [
            member("nexo-pairing-core", &[("serde", Kind::Normal)]),
            member("nexo-pairing-gate", &[("nexo-pairing-core", Kind::Normal)]),
            member("nexo-pairing-cli", &[("nexo-pairing-core", Kind::Normal)]),
            member("nexo-pairing-tests", &[("nexo-pairing-cli", Kind::Normal)]),
        ];
        assert_eq!(problems(&members), Vec::<String>::new());
    }

    #[test]
    fn sideways_and_up_are_refused_in_builds_and_not_in_tests() {
        for kind in [Kind::Normal, Kind::Build] {
            let sideways = member("nexo-pairing-gate", &[("nexo-pairing-store", kind)]);
            let [problem] = &problems(&[sideways])[..] else { panic!("one problem") };
            assert!(problem.contains("nexo-pairing-gate on layer 1 imports nexo-pairing-store"));
            let up = member("nexo-pairing-core", &[("nexo-pairing", kind)]);
            assert_eq!(problems(&[up]).len(), 1);
        }
        let in_tests = member("nexo-pairing-gate", &[("nexo-pairing-store", Kind::Dev)]);
        assert_eq!(problems(&[in_tests]), Vec::<String>::new());
    }

    #[test]
    fn a_crate_without_a_place_is_refused() {
        let [problem] = &problems(&[member("nexo-pairing-new", &[])])[..] else { panic!("one") };
        assert!(problem.contains("nexo-pairing-new"), "{problem}");
    }

    #[test]
    fn nobody_imports_the_tests() {
        let cli = member("nexo-pairing-cli", &[("nexo-pairing-tests", Kind::Normal)]);
        assert_eq!(problems(&[cli]).len(), 1);
        let tests = member("nexo-pairing-tests", &[("nexo-pairing-nats-server", Kind::Normal)]);
        assert_eq!(problems(&[tests]), Vec::<String>::new());
    }
}
