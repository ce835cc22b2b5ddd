//! Sizes, so that drift is noticed early. Raise one with a reason in a decision, not silently.
//!
//! Functions are measured with their tests; the chapters in `__test__/` are not, as a `describe` is a room of tests
//! and not a function.

use crate::Breach;
use crate::files::File;
use crate::functions::{Function, rust_functions, script_functions};
use crate::source::{mask_rust, mask_script};

const FILE: usize = 600;
const FUNCTION: usize = 60;
/// Kernels unroll, and their remainders stand beside their main loop.
const KERNEL_FUNCTION: usize = 120;

/// Files by their whole path or the beginning of it: lines of each.
const EACH: &[(&str, usize)] = &[
    ("index.ts", 300),
    ("ARCHITECTURE.md", 150),
    ("build.rs", 3),
    ("crates/models/src/", 350),
    ("crates/kernels/src/isa/", 600),
];

/// Folders: lines of all their sources together.
const TOGETHER: &[(&str, usize)] = &[("crates/backend/src/", 505), ("src/", 800)];

/// All budgets.
pub fn check(files: &[File]) -> Vec<Breach> {
    let sources = || files.iter().filter(|file| is_source(&file.path));
    let mut breaches: Vec<Breach> =
        sources().filter_map(|file| over(&file.path, file.lines(), FILE)).collect();
    for (path, budget) in EACH {
        let named = files
            .iter()
            .filter(|file| file.path == *path || (path.ends_with('/') && file.path.starts_with(path)));
        breaches.extend(named.filter_map(|file| over(&file.path, file.lines(), *budget)));
    }
    for (folder, budget) in TOGETHER {
        let lines = sources().filter(|file| file.path.starts_with(folder)).map(File::lines).sum();
        breaches.extend(over(folder, lines, *budget));
    }
    breaches.extend(sources().flat_map(long_functions));
    breaches
}

fn is_source(path: &str) -> bool {
    let written = !path.ends_with(".d.ts");
    written && [".rs", ".ts", ".mts", ".mjs", ".js", ".py"].iter().any(|extension| path.ends_with(extension))
}

fn over(place: &str, lines: usize, budget: usize) -> Option<Breach> {
    let breach = || {
        Breach::new(
            place,
            format!("{lines} lines, the budget is {budget}"),
            "split it by noun, or raise the budget in crates/tidy/src/budgets.rs with a decision",
        )
    };
    (lines > budget).then(breach)
}

fn long_functions(file: &File) -> Vec<Breach> {
    let budget = if file.path.starts_with("crates/kernels/") { KERNEL_FUNCTION } else { FUNCTION };
    let long = functions(file).into_iter().filter(|function| function.lines > budget);
    long.map(|function| long_function(file, &function, budget)).collect()
}

fn functions(file: &File) -> Vec<Function> {
    match file.path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("rs") => rust_functions(&mask_rust(&file.text)),
        Some("py") | None => Vec::new(),
        Some(_) if file.path.starts_with("__test__/") => Vec::new(),
        Some(_) => script_functions(&mask_script(&file.text)),
    }
}

fn long_function(file: &File, function: &Function, budget: usize) -> Breach {
    Breach::new(
        format!("{}:{}", file.path, function.line),
        format!("function `{}` has {} lines, the budget is {budget}", function.name, function.lines),
        "make two of it: where it needs a heading comment inside, there is the seam",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(path: &str, lines: usize) -> Vec<String> {
        check(&[File::new(path, &"//\n".repeat(lines))]).into_iter().map(|breach| breach.place).collect()
    }

    #[test]
    fn each_budget_can_be_missed() {
        for (path, budget) in [
            ("crates/text/src/a.rs", 600),
            ("lib/a.ts", 600),
            ("scripts/a.mjs", 600),
            ("index.ts", 300),
            ("ARCHITECTURE.md", 150),
            ("build.rs", 3),
            ("crates/models/src/bert.rs", 350),
            ("crates/kernels/src/isa/avx2.rs", 600),
        ] {
            assert!(places(path, budget).is_empty(), "{path} at its budget");
            assert!(!places(path, budget + 1).is_empty(), "{path} over its budget");
        }
    }

    #[test]
    fn folders_are_added_up() {
        for (folder, budget) in TOGETHER {
            let half = "//\n".repeat(budget / 2 + 1);
            let files =
                [File::new(&format!("{folder}a.rs"), &half), File::new(&format!("{folder}b.rs"), &half)];
            assert_eq!(check(&files).len(), 1, "{folder}");
        }
    }

    #[test]
    fn long_functions_are_named() {
        let rust = format!("fn long() {{\n{}}}\n", "    step();\n".repeat(59));
        let script = format!("function long() {{\n{}}}\n", "  step()\n".repeat(59));
        for (path, text, expected) in [
            ("crates/text/src/a.rs", &rust, 1),
            ("crates/kernels/src/a.rs", &rust, 0),
            ("lib/a.ts", &script, 1),
            ("__test__/a.test.ts", &script, 0),
        ] {
            let found = check(&[File::new(path, text)]);
            assert_eq!(found.len(), expected, "{path}");
            assert!(found.iter().all(|breach| breach.place.ends_with(":1") && breach.rule.contains("`long` has 61 lines")));
        }
    }
}
