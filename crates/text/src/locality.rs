//! Which normalizers and pre-tokenizers look no further than the next barrier.
//!
//! A part is local when what it does to a character depends on that character's
//! close neighbours only: on its word, its run of spaces, its combining marks.
//! What is not known to be local counts as not local, and the whole text is
//! tokenised.

use serde_json::Value;

use crate::barrier::may_follow;

/// Whether a normalizer, as `tokenizer.json` writes it, is local.
pub(crate) fn normalizer_is_local(part: &Value) -> bool {
    match part["type"].as_str() {
        None => part.is_null(),
        Some("Sequence") => all(&part["normalizers"], normalizer_is_local),
        Some("Replace") => replace_is_local(&part["pattern"]),
        Some(
            "BertNormalizer" | "Strip" | "StripAccents" | "NFC" | "NFD" | "NFKC" | "NFKD" | "Lowercase"
            | "Nmt" | "Precompiled" | "Prepend",
        ) => true,
        Some(_) => false,
    }
}

/// Whether a pre-tokenizer, as `tokenizer.json` writes it, is local.
pub(crate) fn pre_tokenizer_is_local(part: &Value) -> bool {
    match part["type"].as_str() {
        None => part.is_null(),
        Some("Sequence") => all(&part["pretokenizers"], pre_tokenizer_is_local),
        Some("Split") => split_is_local(part),
        Some(
            "BertPreTokenizer" | "Whitespace" | "WhitespaceSplit" | "Punctuation" | "Digits"
            | "CharDelimiterSplit" | "Metaspace" | "ByteLevel",
        ) => true,
        Some(_) => false,
    }
}

/// Whether a normalizer may make a letter end in something that is none: `İ` in lower case ends in a mark.
pub(crate) fn changes_letters(part: &Value) -> bool {
    match part["type"].as_str() {
        Some("Sequence") => any(&part["normalizers"], changes_letters),
        Some("NFC" | "Strip" | "Prepend" | "Replace") => false,
        _ => !part.is_null(),
    }
}

/// Whether a pre-tokenizer may take characters that are no letters together.
pub(crate) fn joins_punctuation(part: &Value) -> bool {
    match part["type"].as_str() {
        Some("Sequence") => any(&part["pretokenizers"], joins_punctuation),
        Some(kind) => ["Split", "ByteLevel", "Whitespace"].contains(&kind),
        None => false,
    }
}

fn any(parts: &Value, holds: fn(&Value) -> bool) -> bool {
    parts.as_array().is_none_or(|parts| parts.iter().any(holds))
}

fn all(parts: &Value, is_local: fn(&Value) -> bool) -> bool {
    parts.as_array().is_some_and(|parts| parts.iter().all(is_local))
}

/// A string may not reach over a space or a barrier; of regular expressions those over runs of spaces are known.
fn replace_is_local(pattern: &Value) -> bool {
    if let Some(regex) = pattern["Regex"].as_str() {
        return [" {2,}", " +", r"\s+", r"\s{2,}", r"\s"].contains(&regex);
    }
    let Some(string) = pattern["String"].as_str() else { return false };
    string.chars().count() <= 1 || !string.contains(|c: char| c.is_whitespace() || may_follow(c))
}

fn split_is_local(part: &Value) -> bool {
    let behavior = part["behavior"].as_str();
    let pattern = &part["pattern"];
    if !matches!(behavior, Some("Isolated" | "Removed" | "MergedWithPrevious" | "MergedWithNext")) {
        return false;
    }
    match (pattern["Regex"].as_str(), pattern["String"].as_str()) {
        (Some(regex), _) => alternatives(regex).iter().all(|part| LOCAL_ALTERNATIVES.contains(part)),
        (_, Some(string)) => string.chars().count() == 1,
        _ => false,
    }
}

/// Alternatives of word-splitting expressions that stay within a word and the spaces beside it.
///
/// Sources: GPT-2, cl100k (Llama 3, Qwen 2 and 3), o200k (Llama 4), Tekken and
/// DeepSeek tokenizer files. One new model costs a line here.
const LOCAL_ALTERNATIVES: &[&str] = &[
    "'s",
    "'t",
    "'re",
    "'ve",
    "'m",
    "'ll",
    "'d",
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)",
    r"(?i:[sdmt]|ll|ve|re)",
    r"'(?i:[sdmt]|ll|ve|re)",
    r" ?\p{L}+",
    r" ?\p{N}+",
    r"\p{N}",
    r"\p{N}+",
    r"\p{N}{1,3}",
    r"\d",
    r"\d+",
    r"\p{L}+",
    r" ?[^\s\p{L}\p{N}]+",
    r" ?[^\s\p{L}\p{N}]+[\r\n]*",
    r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
    r" ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*",
    r" ?[^\s\p{L}\p{N}]++[\r\n]*",
    r"[^\r\n\p{L}\p{N}]?\p{L}+",
    r"[^\r\n\p{L}\p{N}]?+\p{L}+",
    r"[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"\s*[\r\n]+",
    r"\s*[\r\n]",
    r"[\r\n]",
    r"[\r\n]+",
    r"\s+(?!\S)",
    r"\s+",
    r"\s",
    r"\w+",
    r"[^\w\s]+",
];

/// Splits a regular expression at its outermost `|`.
fn alternatives(regex: &str) -> Vec<&str> {
    let (mut parts, mut start, mut depth, mut escaped) = (Vec::new(), 0, 0_usize, false);
    for (at, character) in regex.char_indices() {
        match character {
            _ if escaped => {
                escaped = false;
                continue;
            }
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            '|' if depth == 0 => {
                parts.push(&regex[start..at]);
                start = at + 1;
            }
            _ => {}
        }
        escaped = character == '\\';
    }
    parts.push(&regex[start..]);
    parts
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn alternatives_split_outside_brackets() {
        assert_eq!(alternatives(r"(?i:'s|'t)|[^|]+|\||x"), [r"(?i:'s|'t)", "[^|]+", r"\|", "x"]);
    }

    #[test]
    fn known_splits_are_local_and_unknown_ones_are_not() {
        let split =
            |regex: &str| json!({"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated"});
        assert!(pre_tokenizer_is_local(&split(r"'s|'t| ?\p{L}+|\s+(?!\S)|\s+")));
        assert!(!pre_tokenizer_is_local(&split(r"'s|(?s).*END")));
        assert!(!pre_tokenizer_is_local(&json!({"type": "FixedLength", "length": 5})));
        assert!(pre_tokenizer_is_local(&Value::Null));
    }

    #[test]
    fn a_replacement_may_not_reach_over_a_space() {
        let cases = [("``", true), (" ", true), ("a b", false), ("  ", false), ("...", false)];
        for (string, want) in cases {
            let part = json!({"type": "Replace", "pattern": {"String": string}, "content": ""});
            assert_eq!(normalizer_is_local(&part), want, "{string:?}");
        }
    }
}
