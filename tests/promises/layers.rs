//! Imports point down only, as the map in `src/lib.rs` shows it: held by reading the sources.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The modules of the crate, layer by layer, from the top down. A module may use the layers below its own, and
/// none beside it but in the last layer, of which every module is a single file.
const LAYERS: [&[&str]; 11] = [
    &["commands"],
    &["demo"],
    &["pipeline"],
    &["query"],
    &["context"],
    &["recommender", "report"],
    &["database", "model_store", "quality", "cluster"],
    &["cli"],
    &["ingest"],
    &["catalog"],
    &[
        "config",
        "console",
        "error",
        "failpoint",
        "files",
        "interrupt",
        "machine",
        "model",
        "panics",
        "run_summary",
        "sidecar",
        "text",
    ],
];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        match path.is_dir() {
            true => found.extend(sources(&path)),
            false => found.extend(path.extension().is_some_and(|ending| ending == "rs").then_some(path)),
        }
    }
    found.sort();
    found
}

/// What stands before the unit tests, which may use anything, without comments.
fn code(path: &Path) -> String {
    if path.ends_with("tests.rs") {
        return String::new();
    }
    let text = fs::read_to_string(path).expect("text");
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// The first names of all paths that begin with `crate::`, also within braces.
fn used(code: &str) -> Vec<String> {
    let mut names = Vec::new();
    for rest in code.split("crate::").skip(1) {
        let name = |text: &str| -> String {
            text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
        };
        match rest.strip_prefix('{') {
            None => names.push(name(rest)),
            Some(inside) => {
                let mut depth = 0;
                let mut part = String::new();
                for c in inside.chars() {
                    match c {
                        '}' if depth == 0 => break,
                        '{' => depth += 1,
                        '}' => depth -= 1,
                        ',' if depth == 0 => names.push(name(std::mem::take(&mut part).trim())),
                        _ if depth == 0 => part.push(c),
                        _ => {}
                    }
                }
                names.push(name(part.trim()));
            }
        }
    }
    names
}

fn rank(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

fn module_of(path: &Path, root: &Path) -> String {
    let inside = path.strip_prefix(root).expect("within");
    let first = inside.components().next().expect("a name").as_os_str();
    Path::new(first).with_extension("").display().to_string()
}

#[test]
fn modules_use_only_what_lies_below_them() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    for path in sources(&root) {
        let module = module_of(&path, &root);
        if ["lib", "main"].contains(&module.as_str()) {
            continue;
        }
        let own = rank(&module).unwrap_or_else(|| panic!("{module} has no place in LAYERS"));
        for other in used(&code(&path)).into_iter().filter(|other| *other != module) {
            let Some(place) = rank(&other) else {
                wrong.push(format!("{} names crate::{other}, which is no module", path.display()));
                continue;
            };
            if place < own || (place == own && own + 1 < LAYERS.len()) {
                wrong.push(format!("{} uses {other}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Which libraries only some modules may name.
#[test]
fn libraries_stay_where_they_belong() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let homes: [(&str, &[&str]); 5] = [
        ("burn", &[]),
        ("cudarc", &[]),
        ("clap", &["cli", "ingest", "commands", "main"]),
        ("rusqlite", &["database", "demo", "error", "pipeline"]),
        ("polars", &["catalog", "model_store", "ingest", "commands", "error", "cluster"]),
    ];
    let mut wrong = Vec::new();
    for path in sources(&root.join("src")) {
        let (code, module) = (code(&path), module_of(&path, &root.join("src")));
        for (library, modules) in homes {
            let named = code.contains(&format!("{library}::")) || code.contains(&format!("{library}_"));
            if named
                && !modules.contains(&module.as_str())
                && !code.contains(&format!("nightshelf_{library}"))
            {
                wrong.push(format!("{} names {library}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What a library makes of itself, too: no two files of a module or of the model use each other.
#[test]
fn no_two_files_use_each_other() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for folder in ["src", "crates/model/src"] {
        let root = root.join(folder);
        let modules: BTreeMap<String, String> = sources(&root)
            .into_iter()
            .map(|path| {
                let inside = path.strip_prefix(&root).expect("within").with_extension("");
                (inside.display().to_string().replace('/', "::"), code(&path))
            })
            .filter(|(name, _)| !name.ends_with("mod") && !["lib", "main"].contains(&name.as_str()))
            .collect();
        // Only those beside each other: what a folder's own `mod.rs` gives to all of them is no loop.
        let uses = |from: &str, to: &str| {
            let (folder, name) = to.rsplit_once("::").unwrap_or(("", to));
            let sibling = from.rsplit_once("::").map_or("", |(folder, _)| folder) == folder;
            let code = &modules[from];
            let full = format!("crate::{to}");
            let is_named = |path: &str| {
                code.match_indices(path).any(|(at, _)| {
                    let after = code[at + path.len()..].chars().next();
                    !after.is_some_and(|c| c.is_alphanumeric() || c == '_')
                })
            };
            is_named(&full) || (sibling && is_named(&format!("super::{name}")))
        };
        let names: Vec<&String> = modules.keys().collect();
        for (at, one) in names.iter().enumerate() {
            for other in &names[at + 1..] {
                assert!(!(uses(one, other) && uses(other, one)), "{one} and {other} use each other");
            }
        }
    }
}
