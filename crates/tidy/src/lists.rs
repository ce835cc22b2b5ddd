//! A folder of siblings and the list that names them agree: one file, one word.

use crate::Breach;
use crate::files::File;
use crate::source::{find_word, mask_rust};

/// A folder, and the file in which each of its members must be named.
pub struct List {
    /// With a slash at its end.
    pub folder: &'static str,
    /// Files of the folder that are no members.
    pub except: &'static [&'static str],
    /// Where the list may stand: the first of these files that exists.
    pub lists: &'static [&'static str],
}

/// The lists of this repository.
pub const LISTS: &[List] = &[
    List { folder: "crates/models/src/", except: &["lib"], lists: &["crates/models/src/lib.rs"] },
    List {
        folder: "crates/kernels/src/isa/",
        except: &["mod"],
        lists: &["crates/kernels/src/isa/mod.rs", "crates/kernels/src/isa.rs", "crates/kernels/src/lib.rs"],
    },
];

/// Members without a word, and words without a member.
pub fn check(files: &[File], list: &List) -> Vec<Breach> {
    let members = members(files, list);
    let found = list.lists.iter().find_map(|path| files.iter().find(|file| file.path == *path));
    let Some(named_in) = found else {
        return vec![Breach::new(
            list.folder,
            format!("its list {} is not there", list.lists[0]),
            "write it",
        )];
    };
    let code = mask_rust(&named_in.text);
    let invocation = macro_list(&code);
    let unnamed = members.iter().filter(|member| find_word(invocation.unwrap_or(&code), member).is_empty());
    let mut breaches: Vec<Breach> = unnamed.map(|member| unnamed_member(list, named_in, member)).collect();
    let words = invocation.map(first_words).unwrap_or_default();
    breaches.extend(words.iter().filter(|word| !members.contains(word)).map(|word| {
        Breach::new(
            &named_in.path,
            format!("`{word}` has no file in {}", list.folder),
            "write the file or remove the word",
        )
    }));
    breaches
}

/// Names of the folder's files and folders, as they would be named in Rust.
fn members(files: &[File], list: &List) -> Vec<String> {
    let inside = files.iter().filter_map(|file| file.path.strip_prefix(list.folder));
    let names =
        inside.filter_map(|path| path.strip_suffix(".rs")).map(|path| path.split('/').next().unwrap_or(path));
    let mut names: Vec<String> = names.filter(|name| !list.except.contains(name)).map(Into::into).collect();
    names.sort();
    names.dedup();
    names
}

fn unnamed_member(list: &List, named_in: &File, member: &str) -> Breach {
    Breach::new(
        format!("{}{member}.rs", list.folder),
        format!("is not in the list of {}", named_in.path),
        "add one line to the list, or remove the file",
    )
}

/// The body of the list's macro: the first `name! { … }` that stands at the beginning of a line.
fn macro_list(code: &str) -> Option<&str> {
    let opens =
        |line: &str| line.split_once("! {").is_some_and(|(name, _)| name != "macro_rules" && is_name(name));
    let mut at = 0;
    for line in code.split_inclusive('\n') {
        if opens(line) && !line.starts_with("macro_rules") {
            let brace = at + line.find('{')?;
            return crate::functions::matching_brace(code, brace).map(|end| &code[brace + 1..end]);
        }
        at += line.len();
    }
    None
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || c == '_')
}

/// The word that each line of a macro list begins with.
fn first_words(list: &str) -> Vec<String> {
    let word =
        |line: &str| line.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    list.lines().map(word).filter(|word| !word.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: List = List { folder: "zoo/src/", except: &["lib"], lists: &["zoo/src/lib.rs"] };
    const MACRO: &str = "macro_rules! animals {\n    ($x:ident) => {};\n}\nanimals! {\n    ape: \"ape\";\n    bee: \"bee\";\n}\n";

    fn rules(list: &str, animals: &[&str]) -> Vec<String> {
        let mut files = vec![File::new("zoo/src/lib.rs", list)];
        files.extend(animals.iter().map(|name| File::new(&format!("zoo/src/{name}.rs"), "")));
        check(&files, &LIST).into_iter().map(|breach| format!("{} {}", breach.place, breach.rule)).collect()
    }

    #[test]
    fn folder_and_list_agree() {
        assert!(rules(MACRO, &["ape", "bee"]).is_empty());
        assert!(rules("mod ape;\nmod bee;\n", &["ape", "bee"]).is_empty());
    }

    #[test]
    fn a_file_without_a_word_is_a_breach() {
        assert_eq!(
            rules(MACRO, &["ape", "bee", "cat"]),
            ["zoo/src/cat.rs is not in the list of zoo/src/lib.rs"]
        );
        assert_eq!(rules("// bee\nmod ape;", &["ape", "bee"]).len(), 1);
    }

    #[test]
    fn a_word_without_a_file_is_a_breach() {
        assert_eq!(rules(MACRO, &["ape"]), ["zoo/src/lib.rs `bee` has no file in zoo/src/"]);
    }

    #[test]
    fn a_missing_list_is_a_breach() {
        assert_eq!(check(&[], &LIST).len(), 1);
    }
}
