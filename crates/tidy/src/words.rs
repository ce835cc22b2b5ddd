//! Words that hurt live in one room each. Looked for in code, not in comments; `https` also in strings, where it
//! would do its harm.

use crate::Breach;
use crate::files::File;
use crate::source::{find_word, line_of, mask_rust, mask_rust_comments};

/// A word and the rooms, as beginnings of paths, where it may stand.
pub struct Word {
    /// As it is written.
    pub word: &'static str,
    /// Beginnings of paths.
    pub rooms: &'static [&'static str],
    /// Whether strings are looked at, too.
    pub in_strings: bool,
}

const fn word(word: &'static str, rooms: &'static [&'static str]) -> Word {
    Word { word, rooms, in_strings: false }
}

const INSTRUCTIONS: &[&str] = &["crates/kernels/src/isa/", "crates/kernels/src/simd"];

/// Not all of the kernels, and what calls a driver's functions: a file that joins these is looked at twice.
const UNSAFE: &[&str] = &[
    "crates/kernels/src/isa/",
    "crates/kernels/src/simd",
    "crates/kernels/src/gemm",
    "crates/kernels/src/op/attention.rs",
    "crates/kernels/src/exit.rs",
    "crates/kernels/src/priority.rs",
    "crates/kernels/src/shared.rs",
    "crates/kernels/src/team.rs",
    "crates/devices/src/library.rs",
];

/// Who owns GPUs, and the manifests that forward their features.
const GPUS: &[&str] = &[
    "crates/backend-candle/",
    "crates/devices/",
    "crates/backend-onnx/Cargo.toml",
    "crates/engine/Cargo.toml",
    "Cargo.toml",
    "src/lib.rs",
];

/// The list.
pub const WORDS: &[Word] = &[
    word("unsafe", UNSAFE),
    word("target_feature", INSTRUCTIONS),
    word("target_arch", &["crates/kernels/src/"]),
    word("std::arch", INSTRUCTIONS),
    word("core::arch", INSTRUCTIONS),
    word("is_x86_feature_detected", INSTRUCTIONS),
    word("is_aarch64_feature_detected", INSTRUCTIONS),
    word("napi", &["src/", "build.rs", "Cargo.toml"]),
    word("napi_derive", &["src/", "Cargo.toml"]),
    word("napi_build", &["build.rs", "Cargo.toml"]),
    word("libc", &["crates/kernels/"]),
    word("cuda", GPUS),
    word("metal", GPUS),
    word("libloading", &["crates/devices/"]),
    Word { word: "https", rooms: &["crates/hub/"], in_strings: true },
];

/// This crate speaks about the words.
const ABOUT_THEM: &str = "crates/tidy/";

/// Words outside their room, in Rust sources and manifests.
pub fn check(files: &[File], words: &[Word]) -> Vec<Breach> {
    let sources = files.iter().filter(|file| file.path.ends_with(".rs") || file.path.ends_with("Cargo.toml"));
    let sources = sources.filter(|file| !file.path.starts_with(ABOUT_THEM));
    sources.flat_map(|file| words.iter().flat_map(move |word| check_file(file, word))).collect()
}

fn check_file(file: &File, word: &Word) -> Vec<Breach> {
    if word.rooms.iter().any(|room| file.path.starts_with(room)) {
        return Vec::new();
    }
    let code = code_of(file, word.in_strings);
    let breach = |at| {
        Breach::new(
            format!("{}:{}", file.path, line_of(&code, at)),
            format!("the word `{}` may stand only in {}", word.word, word.rooms.join(", ")),
            "move what needs it there, behind a function without it",
        )
    };
    find_word(&code, word.word).into_iter().map(breach).collect()
}

fn code_of(file: &File, in_strings: bool) -> String {
    match (file.path.ends_with(".rs"), in_strings) {
        (true, true) => mask_rust_comments(&file.text),
        (true, false) => mask_rust(&file.text),
        (false, _) => manifest_code(&file.text),
    }
}

/// A manifest without its comments and without its free text.
fn manifest_code(text: &str) -> String {
    let code = |line: &str| {
        if line.starts_with("description") {
            String::new()
        } else {
            line.split('#').next().unwrap_or_default().into()
        }
    };
    text.lines().map(code).collect::<Vec<String>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaches(path: &str, text: &str) -> usize {
        check(&[File::new(path, text)], WORDS).len()
    }

    #[test]
    fn a_word_outside_its_room_is_a_breach() {
        for text in [
            "unsafe { x() }",
            "use std::arch::x86_64::*;",
            "use libc::c_int;",
            "napi::Error",
            "cuda::x()",
            "\"https://a\"",
        ] {
            assert_eq!(breaches("crates/engine/src/a.rs", text), 1, "{text}");
        }
        assert_eq!(breaches("crates/kernels/src/op/gelu.rs", "#[target_feature(enable = \"avx2\")]"), 1);
        assert_eq!(breaches("crates/kernels/src/matrix.rs", "unsafe { x() }"), 1);
        assert_eq!(breaches("crates/text/Cargo.toml", "[dependencies]\nlibc = \"0.2\"\n"), 1);
    }

    #[test]
    fn a_word_in_its_room_or_in_a_comment_is_none() {
        for (path, text) in [
            ("crates/kernels/src/isa/avx2.rs", "#[target_feature(enable = \"avx2\")] unsafe fn f() {}"),
            ("src/lib.rs", "use napi_derive::napi;"),
            (
                "crates/engine/src/a.rs",
                "// unsafe, see https://example.org\n#![deny(unsafe_code)]\nlet device = \"cuda\";",
            ),
            ("crates/engine/Cargo.toml", "description = \"no cuda\" # napi\n"),
        ] {
            assert_eq!(breaches(path, text), 0, "{path}");
        }
    }

    #[test]
    fn the_line_is_named() {
        let found = check(&[File::new("crates/nn/src/a.rs", "//\n\nunsafe {}")], WORDS);
        assert_eq!(found[0].place, "crates/nn/src/a.rs:3");
    }
}
