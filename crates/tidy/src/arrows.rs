//! Who may name whom. The graph is computed from the manifests and the imports, held against the list of allowed
//! arrows, and against the drawing in ARCHITECTURE.md, which must show what is there, no more and no less.
//!
//! Dev-dependencies are no arrows: a test may look where its subject may not. Neither are `scripts/`, `bench/` and
//! `__test__/`, the workshop around the house.

use std::collections::{BTreeMap, BTreeSet};

use crate::Breach;
use crate::files::File;
use crate::source::{find_word, mask_rust, mask_script_comments};

/// Room → rooms it names.
pub type Graph = BTreeMap<String, BTreeSet<String>>;

/// The package's name, by which examples import the face.
const PACKAGE: &str = "@x/embed-native";

/// All that is allowed; a new room begins here. Some have their lines before they have walls.
pub const ALLOWED: &[(&str, &[&str])] = &[
    ("adapters", &["face"]),
    ("cli", &["face"]),
    ("examples", &["face"]),
    ("face", &["lib"]),
    ("lib", &["addon"]),
    ("addon", &["engine"]),
    (
        "engine",
        &[
            "hub",
            "text",
            "convert",
            "nn",
            "devices",
            "backend",
            "backend-native",
            "backend-candle",
            "backend-onnx",
            "kernels",
        ],
    ),
    ("text", &["backend"]),
    ("convert", &["nn", "kernels"]),
    ("backend-native", &["models", "nn", "backend", "kernels"]),
    ("backend-candle", &["models", "nn", "backend"]),
    ("backend-onnx", &["nn", "backend", "backend-native", "devices", "kernels"]),
    ("models", &["nn", "backend"]),
    ("nn", &["backend"]),
];

/// The graph of all Rust and TypeScript rooms.
pub fn graph(files: &[File]) -> Graph {
    let crates: Vec<String> = files.iter().filter_map(|file| crate_folder(&file.path)).collect();
    let mut graph = Graph::new();
    for file in files {
        for (from, to) in manifest_arrows(file, &crates).into_iter().chain(script_arrows(file)) {
            graph.entry(from).or_default().insert(to);
        }
    }
    graph
}

/// `crates/nn/Cargo.toml` → `nn`.
fn crate_folder(path: &str) -> Option<String> {
    let name = path.strip_prefix("crates/")?.strip_suffix("/Cargo.toml")?;
    Some(name.into())
}

fn manifest_arrows(file: &File, crates: &[String]) -> Vec<(String, String)> {
    let room = if file.path == "Cargo.toml" { Some("addon".into()) } else { crate_folder(&file.path) };
    let Some(room) = room else { return Vec::new() };
    let named = dependencies(&file.text).into_iter().filter(|name| crates.contains(name));
    named.map(|name| (room.clone(), name)).collect()
}

/// Names under `[dependencies]` and `[target.….dependencies]`; not those of `[workspace.dependencies]`.
pub fn dependencies(manifest: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut inside = false;
    for line in manifest.lines().map(str::trim) {
        if let Some(section) = line.strip_prefix('[') {
            let section = section.trim_end_matches(']');
            inside = section == "dependencies"
                || (section.starts_with("target.") && section.ends_with(".dependencies"));
        } else if inside && !line.is_empty() && !line.starts_with('#') {
            names.extend(line.split(['.', '=', ' ']).next().map(Into::into));
        }
    }
    names
}

fn script_arrows(file: &File) -> Vec<(String, String)> {
    let Some(from) = script_room(&file.path) else { return Vec::new() };
    if !file.has_extension(&[".ts", ".mts", ".mjs", ".js"]) || file.path.ends_with(".d.ts") {
        return Vec::new();
    }
    let targets = imports(&file.text).into_iter().filter_map(|specifier| target_room(&file.path, &specifier));
    targets.filter(|to| *to != from).map(|to| (from.to_string(), to)).collect()
}

fn script_room(path: &str) -> Option<&str> {
    if path == "index.ts" {
        return Some("face");
    }
    let folder = path.split_once('/')?.0;
    ["lib", "adapters", "cli", "examples"].contains(&folder).then_some(folder)
}

/// What stands in `from '…'`, `import '…'`, `import('…')` and `require('…')`.
pub fn imports(text: &str) -> Vec<String> {
    let code = mask_script_comments(text);
    let mut found = Vec::new();
    for word in ["from", "import", "require", "resolve"] {
        for at in find_word(&code, word) {
            let after = code[at + word.len()..].trim_start().trim_start_matches('(').trim_start();
            let quote = after.chars().next().filter(|c| ['\'', '"'].contains(c));
            let specifier = quote.and_then(|quote| after[1..].split_once(quote));
            found.extend(specifier.map(|(specifier, _)| specifier.to_string()));
        }
    }
    found
}

/// The room that an import leads to; None for packages and for Node's own modules.
fn target_room(path: &str, specifier: &str) -> Option<String> {
    if specifier == PACKAGE || specifier.starts_with("@x/embed-native/") {
        return Some("face".into());
    }
    let target = resolve(path, specifier)?;
    let first = target.split('/').next().unwrap_or_default();
    let room = match first {
        "index.ts" | "index.js" | "index.mjs" | "index.cjs" | "index" | "dist" => "face",
        _ if first.starts_with("binding") || first.ends_with(".node") => "addon",
        _ if target.contains('/') => first,
        _ => return None,
    };
    Some(room.into())
}

/// `lib/a.ts` and `../binding.js` → `binding.js`.
fn resolve(path: &str, specifier: &str) -> Option<String> {
    if !specifier.starts_with('.') {
        return None;
    }
    let mut parts: Vec<&str> = path.split('/').collect();
    parts.pop();
    for part in specifier.split('/') {
        match part {
            "." => {}
            ".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

/// Arrows that are not allowed.
pub fn check_allowed(graph: &Graph) -> Vec<Breach> {
    let allowed: BTreeMap<&str, &[&str]> = ALLOWED.iter().copied().collect();
    let mut breaches = Vec::new();
    for (from, targets) in graph {
        let may = allowed.get(from.as_str()).copied().unwrap_or_default();
        for to in targets.iter().filter(|to| !may.contains(&to.as_str())) {
            breaches.push(forbidden(from, to, may));
        }
    }
    breaches
}

fn forbidden(from: &str, to: &str, may: &[&str]) -> Breach {
    let may = if may.is_empty() { "nothing".into() } else { may.join(", ") };
    Breach::new(
        place(from),
        format!("the arrow {from} -> {to} is not allowed ({from} may name {may})"),
        "move the code to the room that may, or change ALLOWED in crates/tidy/src/arrows.rs with a decision",
    )
}

/// Where the arrows of a room are written.
fn place(room: &str) -> String {
    match room {
        "face" => "index.ts".into(),
        "lib" | "adapters" | "cli" | "examples" => format!("{room}/"),
        "addon" => "Cargo.toml".into(),
        _ => format!("crates/{room}/Cargo.toml"),
    }
}

/// The fenced block of ARCHITECTURE.md with `arrows` in its info string: `name -> name, name` a line.
///
/// # Errors
/// There is no such block, or a line of it has no arrow.
pub fn drawing(architecture: &str) -> Result<Graph, Breach> {
    let mut lines = architecture.lines().skip_while(|line| !opens_drawing(line));
    if lines.next().is_none() {
        return Err(drawing_breach(
            "there is no fenced block ```arrows",
            "draw the rooms: `name -> name, name` a line",
        ));
    }
    let mut graph = Graph::new();
    for line in lines.take_while(|line| !line.starts_with("```")).filter(|line| !line.trim().is_empty()) {
        let Some((from, to)) = line.split_once("->") else {
            return Err(drawing_breach(&format!("`{line}` has no arrow"), "write `name -> name, name`"));
        };
        let targets = to.split(',').map(|name| name.trim().to_string()).filter(|name| !name.is_empty());
        graph.entry(from.trim().into()).or_default().extend(targets);
    }
    Ok(graph)
}

fn opens_drawing(line: &str) -> bool {
    line.strip_prefix("```").is_some_and(|info| info.split_whitespace().any(|word| word == "arrows"))
}

fn drawing_breach(rule: &str, remedy: &str) -> Breach {
    Breach::new("ARCHITECTURE.md", rule, remedy)
}

/// Where the drawing and the code differ.
pub fn check_drawing(drawn: &Graph, computed: &Graph) -> Vec<Breach> {
    let arrows = |graph: &Graph| -> BTreeSet<(String, String)> {
        graph.iter().flat_map(|(from, targets)| targets.iter().map(|to| (from.clone(), to.clone()))).collect()
    };
    let (drawn, computed) = (arrows(drawn), arrows(computed));
    let missing = computed.difference(&drawn).map(|(from, to)| {
        drawing_breach(
            &format!("{from} -> {to} is in the code and not in the drawing"),
            "draw it, or drop the dependency",
        )
    });
    let invented = drawn.difference(&computed).map(|(from, to)| {
        drawing_breach(&format!("{from} -> {to} is drawn and not in the code"), "remove it from the drawing")
    });
    missing.chain(invented).collect()
}

/// Dependencies of a room on another that its code never names: an arrow drawn for nothing.
pub fn check_used(files: &[File]) -> Vec<Breach> {
    let crates: Vec<String> = files.iter().filter_map(|file| crate_folder(&file.path)).collect();
    let manifests = files.iter().filter(|file| file.path.ends_with("Cargo.toml"));
    let arrows =
        manifests.flat_map(|file| manifest_arrows(file, &crates).into_iter().map(move |(_, to)| (file, to)));
    let unused = arrows.filter(|(manifest, to)| !names_crate(files, manifest, to));
    let breach = |(manifest, to): (&File, String)| {
        Breach::new(&manifest.path, format!("depends on {to} and never names it"), "remove the line")
    };
    unused.map(breach).collect()
}

fn names_crate(files: &[File], manifest: &File, name: &str) -> bool {
    let folder = format!("{}src/", manifest.path.trim_end_matches("Cargo.toml"));
    let word = name.replace('-', "_");
    let mut sources =
        files.iter().filter(|file| file.path.starts_with(&folder) && file.has_extension(&[".rs"]));
    sources.any(|file| !find_word(&mask_rust(&file.text), &word).is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<File> {
        vec![
            File::new(
                "Cargo.toml",
                "[workspace.dependencies]\nnn = { path = \"crates/nn\" }\n[dependencies]\nengine.workspace = true\n",
            ),
            File::new("crates/engine/Cargo.toml", "[dependencies]\ntext.workspace = true\nserde = \"1\"\n"),
            File::new("crates/engine/src/lib.rs", "use text::Tokens;"),
            File::new(
                "crates/text/Cargo.toml",
                "[target.'cfg(unix)'.dependencies]\nnn = { path = \"../nn\" }\n[dev-dependencies]\nengine = \"1\"\n",
            ),
            File::new("crates/nn/Cargo.toml", "[dependencies]\n"),
            File::new(
                "index.ts",
                "import { a } from './lib/a.js'\nexport * from './lib/b.js'\n// from './cli/x.js'\n",
            ),
            File::new(
                "lib/a.ts",
                "import fs from 'node:fs'\nimport { b } from './b.js'\nrequire('../binding.js')\n",
            ),
            File::new("examples/a.mjs", "import { Embedder } from '@x/embed-native'\n"),
        ]
    }

    fn arrow(graph: &Graph, from: &str) -> Vec<String> {
        graph.get(from).into_iter().flatten().cloned().collect()
    }

    #[test]
    fn the_graph_is_computed_from_the_code() {
        let graph = graph(&sample());
        for (from, to) in [
            ("addon", "engine"),
            ("engine", "text"),
            ("text", "nn"),
            ("face", "lib"),
            ("lib", "addon"),
            ("examples", "face"),
        ] {
            assert_eq!(arrow(&graph, from), [to], "{from}");
        }
        assert_eq!(graph.len(), 6);
    }

    #[test]
    fn a_forbidden_arrow_is_named() {
        let breaches = check_allowed(&graph(&sample()));
        assert_eq!(breaches.len(), 1);
        assert!(breaches[0].rule.contains("text -> nn"), "{}", breaches[0]);
    }

    #[test]
    fn the_drawing_must_equal_the_code() {
        let computed = graph(&sample());
        let text = "# A\n```text arrows\naddon -> engine\nengine -> text, kernels\n```\n";
        let breaches = check_drawing(&drawing(text).unwrap(), &computed);
        let rules: Vec<&str> = breaches.iter().map(|breach| breach.rule.as_str()).collect();
        assert!(rules.contains(&"engine -> kernels is drawn and not in the code"), "{rules:?}");
        assert!(rules.contains(&"text -> nn is in the code and not in the drawing"), "{rules:?}");
        assert!(check_drawing(&computed, &computed).is_empty());
    }

    #[test]
    fn a_drawing_must_be_there_and_readable() {
        assert!(drawing("# A\n```text\na -> b\n```\n").is_err());
        assert!(drawing("```arrows\na b\n```\n").is_err());
    }

    #[test]
    fn a_dependency_must_be_named() {
        let rules: Vec<String> = check_used(&sample()).into_iter().map(|breach| breach.place).collect();
        assert_eq!(rules, ["Cargo.toml", "crates/text/Cargo.toml"]);
    }

    #[test]
    fn a_relative_path_is_resolved() {
        assert_eq!(resolve("cli/deep/a.ts", "../../lib/b.js").as_deref(), Some("lib/b.js"));
        assert_eq!(resolve("cli/a.ts", "node:fs"), None);
    }
}
