//! What the rules of the house judge: imports from the manifests, texts from the tree. Not here: any rule.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::{Dependency, DependencyKind, Metadata, MetadataCommand, Package};

use crate::rules::Import;

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ stands in the root").to_owned()
}

pub(crate) fn metadata() -> Metadata {
    let mut command = MetadataCommand::new();
    command.manifest_path(root().join("Cargo.toml")).no_deps();
    command.exec().expect("cargo reads the manifests")
}

pub(crate) fn imports(metadata: &Metadata) -> Vec<Import> {
    let of = |package: &Package| {
        let from = package.name.to_string();
        let import = |dependency: &Dependency| Import {
            from: from.clone(),
            to: dependency.name.clone(),
            in_tests: dependency.kind == DependencyKind::Development,
        };
        package.dependencies.iter().map(import).collect::<Vec<_>>()
    };
    metadata.packages.iter().flat_map(of).collect()
}

pub(crate) fn between_rooms(metadata: &Metadata) -> Vec<Import> {
    let rooms: BTreeSet<String> = metadata.packages.iter().map(|package| package.name.to_string()).collect();
    imports(metadata).into_iter().filter(|import| rooms.contains(&import.to)).collect()
}

/// What builds and runs leave behind; the same as in `.gitignore`, and git's own.
pub(crate) fn left_by_tools(name: &str) -> bool {
    ["target", "tranche-data", "figures", ".git"].contains(&name)
        || name.starts_with("target-")
        || name.ends_with(".profraw")
}

/// Every text of the tree with its path below the root, `/` between folders.
pub(crate) fn texts() -> Vec<(String, String)> {
    let root = root();
    let mut folders = vec![root.clone()];
    let mut texts = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the tree is readable") {
            let path = entry.expect("an entry of the tree is readable").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if left_by_tools(&name) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(text) = fs::read_to_string(&path) {
                let below = path.strip_prefix(&root).expect("the walk began at the root");
                texts.push((below.to_string_lossy().replace('\\', "/"), text));
            }
        }
    }
    assert!(texts.len() > 100, "only {} files were found: the walk is broken", texts.len());
    texts
}

pub(crate) fn sources() -> impl Iterator<Item = (String, String)> {
    texts().into_iter().filter(|(path, _)| path.ends_with(".rs"))
}

/// The room a path of the tree lies in.
pub(crate) fn room_of(path: &str) -> &str {
    let path = path.strip_prefix("crates/").unwrap_or(path);
    path.split('/').next().unwrap_or(path)
}

/// Whether the path is the product's own source and not a test or a build script beside it.
pub(crate) fn in_src(path: &str) -> bool {
    path.strip_prefix("crates/").unwrap_or(path).split('/').nth(1) == Some("src")
}
