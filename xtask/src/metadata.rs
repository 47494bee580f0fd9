//! What the checks need of `cargo metadata --no-deps`: the members, their features and what they
//! depend on.

use std::path::PathBuf;

use serde_json::Value;

/// The workspace.
#[derive(Debug)]
pub(crate) struct Metadata {
    pub(crate) members: Vec<Member>,
    pub(crate) target_directory: PathBuf,
}

/// One package of the workspace.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) name: String,
    /// In alphabetical order.
    pub(crate) features: Vec<String>,
    /// Whether it is for a registry.
    pub(crate) is_published: bool,
    /// The oldest compiler that it is for, if it says so.
    pub(crate) rust_version: Option<String>,
    pub(crate) dependencies: Vec<Dependency>,
}

/// One line of a member's dependency tables.
#[derive(Debug)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    pub(crate) kind: Kind,
}

/// Which table a dependency stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Normal,
    Build,
    Dev,
}

impl Metadata {
    /// The members that are for a registry.
    pub(crate) fn published(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| member.is_published)
    }

    /// Reads the JSON of format version 1.
    ///
    /// # Errors
    /// Text that is no such JSON.
    pub(crate) fn parse(json: &str) -> Result<Self, String> {
        let root: Value = serde_json::from_str(json)
            .map_err(|error| format!("cargo metadata is no JSON: {error}"))?;
        let members = list(&root, "packages")?.iter().map(member).collect::<Result<_, _>>()?;
        Ok(Self { members, target_directory: text(&root, "target_directory")?.into() })
    }
}

fn member(package: &Value) -> Result<Member, String> {
    let features =
        package["features"].as_object().map(|table| table.keys().cloned().collect::<Vec<_>>());
    let mut features = features.ok_or_else(|| missing("features"))?;
    features.sort();
    let dependencies =
        list(package, "dependencies")?.iter().map(dependency).collect::<Result<_, _>>()?;
    Ok(Member {
        name: text(package, "name")?,
        features,
        // `null` for anywhere, an empty list for nowhere.
        is_published: package["publish"].as_array().is_none_or(|places| !places.is_empty()),
        rust_version: package["rust_version"].as_str().map(str::to_owned),
        dependencies,
    })
}

fn dependency(entry: &Value) -> Result<Dependency, String> {
    let kind = match entry["kind"].as_str() {
        None => Kind::Normal,
        Some("build") => Kind::Build,
        Some("dev") => Kind::Dev,
        Some(other) => return Err(format!("cargo metadata has a dependency of kind '{other}'")),
    };
    Ok(Dependency { name: text(entry, "name")?, kind })
}

fn list<'a>(value: &'a Value, key: &str) -> Result<&'a Vec<Value>, String> {
    value[key].as_array().ok_or_else(|| missing(key))
}

fn text(value: &Value, key: &str) -> Result<String, String> {
    value[key].as_str().map(str::to_owned).ok_or_else(|| missing(key))
}

fn missing(key: &str) -> String {
    format!("cargo metadata has no '{key}' where one is expected")
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &str = r#"{
        "packages": [{
            "name": "facade",
            "features": {"store": ["dep:store"], "default": ["store"]},
            "publish": null,
            "rust_version": "1.92",
            "dependencies": [
                {"name": "store", "kind": null, "optional": true},
                {"name": "tempfile", "kind": "dev"},
                {"name": "cc", "kind": "build"}
            ]
        }],
        "target_directory": "/somewhere/target"
    }"#;

    #[test]
    fn reads_members_features_and_dependencies() {
        let metadata = Metadata::parse(JSON).unwrap();
        assert_eq!(metadata.target_directory, PathBuf::from("/somewhere/target"));
        let [facade] = metadata.members.as_slice() else { panic!("one member") };
        assert_eq!(facade.name, "facade");
        assert_eq!(facade.features, ["default", "store"]);
        assert_eq!((facade.is_published, facade.rust_version.as_deref()), (true, Some("1.92")));
        let kinds: Vec<_> = facade.dependencies.iter().map(|d| (d.name.as_str(), d.kind)).collect();
        assert_eq!(kinds, [("store", Kind::Normal), ("tempfile", Kind::Dev), ("cc", Kind::Build)]);
    }

    #[test]
    fn what_goes_nowhere_is_not_published() {
        let metadata = Metadata::parse(&JSON.replace(r#""publish": null"#, r#""publish": []"#));
        assert!(!metadata.unwrap().members[0].is_published);
    }

    #[test]
    fn other_json_is_refused() {
        assert!(Metadata::parse("nothing").unwrap_err().contains("no JSON"));
        assert!(Metadata::parse("{}").unwrap_err().contains("packages"));
    }
}
