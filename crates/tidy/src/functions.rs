//! How long functions are, by matching braces in masked text. Tests count as functions, too.

use crate::source::{find_word, line_of};

/// A function with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// As it is called; `=>` for a function without a name.
    pub name: String,
    /// Its first line, from 1.
    pub line: usize,
    /// From the line of its name to that of its last brace.
    pub lines: usize,
}

/// Functions with a body, in masked Rust.
pub fn rust_functions(masked: &str) -> Vec<Function> {
    find_word(masked, "fn").into_iter().filter_map(|at| rust_function(masked, at)).collect()
}

fn rust_function(masked: &str, at: usize) -> Option<Function> {
    let name = leading_name(masked[at + 2..].trim_start());
    if name.is_empty() {
        return None;
    }
    function(masked, &name, at, body_start(masked, at)?)
}

/// The brace that opens the body, or None where a semicolon ends the signature.
fn body_start(masked: &str, at: usize) -> Option<usize> {
    let mut depth = 0_i32;
    for (offset, byte) in masked[at..].bytes().enumerate() {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth -= 1,
            b'{' if depth == 0 => return Some(at + offset),
            b';' if depth == 0 => return None,
            _ => {}
        }
        // The end of the macro or trait that the signature stands in.
        if depth < 0 {
            return None;
        }
    }
    None
}

/// Functions and methods with a body in braces, in masked TypeScript or JavaScript. Found from their brace: after
/// `=>`, or after a parameter list (and a return type) that no `if` or `for` stands before.
pub fn script_functions(masked: &str) -> Vec<Function> {
    let braces = masked.match_indices('{').map(|(at, _)| at);
    braces.filter_map(|brace| script_function(masked, brace)).collect()
}

fn script_function(masked: &str, brace: usize) -> Option<Function> {
    let before = masked[..brace].trim_end();
    if let Some(head) = before.strip_suffix("=>") {
        return function(masked, "=>", head.trim_end().len().saturating_sub(1), brace);
    }
    let open = parameters_start(before)?;
    let name = trailing_name(before[..open].trim_end());
    let is_statement = ["if", "for", "while", "switch", "catch", "with", "await"].contains(&name.as_str());
    if is_statement || name.is_empty() { None } else { function(masked, &name, open, brace) }
}

/// Where the parameter list opens that ends before a body's brace.
fn parameters_start(before: &str) -> Option<usize> {
    let close = if before.ends_with(')') { before.len() - 1 } else { return_type_start(before)? };
    let mut depth = 0_i32;
    for (at, byte) in before[..=close].bytes().enumerate().rev() {
        match byte {
            b')' => depth += 1,
            b'(' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

/// `): Promise<X>` → the parenthesis, where only a type's characters follow it.
fn return_type_start(before: &str) -> Option<usize> {
    let close = before.rfind(')')?;
    let between = before[close + 1..].trim_start().strip_prefix(':')?;
    let is_type = |c: char| c.is_alphanumeric() || "_<>,[]|&. :'\"$?\n".contains(c);
    (!between.contains("=>") && between.chars().all(is_type)).then_some(close)
}

fn function(masked: &str, name: &str, start: usize, brace: usize) -> Option<Function> {
    let end = matching_brace(masked, brace)?;
    let line = line_of(masked, start);
    Some(Function { name: name.into(), line, lines: line_of(masked, end) - line + 1 })
}

/// The brace that closes the one at `open`.
pub fn matching_brace(masked: &str, open: usize) -> Option<usize> {
    let mut depth = 0_i32;
    for (offset, byte) in masked[open..].bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(open + offset);
        }
    }
    None
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$' || c == '#'
}

fn leading_name(text: &str) -> String {
    text.chars().take_while(|&c| is_name(c)).collect()
}

fn trailing_name(text: &str) -> String {
    // A generic method: `name<T>(…)`.
    let text = if text.ends_with('>') { &text[..text.rfind('<').unwrap_or(0)] } else { text };
    let reversed: Vec<char> = text.chars().rev().take_while(|&c| is_name(c)).collect();
    reversed.into_iter().rev().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{mask_rust, mask_script};

    fn names(functions: &[Function]) -> Vec<(&str, usize, usize)> {
        functions.iter().map(|function| (function.name.as_str(), function.line, function.lines)).collect()
    }

    #[test]
    fn rust_functions_are_measured() {
        let text = "trait T { fn declared(&self, x: [u8; 4]); }\n\
                    fn one() -> [u8; 2] { [0; 2] }\n\
                    fn two<F: Fn(u8) -> u8>(f: F)\nwhere\n    F: Copy,\n{\n    let _ = \"}\"; // }\n    if true {}\n}\n\
                    type Pointer = fn(u8) -> u8;\n";
        assert_eq!(names(&rust_functions(&mask_rust(text))), [("one", 2, 1), ("two", 3, 7)]);
    }

    #[test]
    fn script_functions_are_measured() {
        let text = "export async function one(a: string): Promise<void> {\n  if (a) {\n    return\n  }\n}\n\
                    class A {\n  #two<T>(b = f()) {\n    for (const c of b) {}\n  }\n}\n\
                    const three = (x: { y: number }) => {\n  return x\n}\n\
                    const object = { a: 1 }\nimport { d } from './e.js'\n";
        let masked = mask_script(text);
        assert_eq!(names(&script_functions(&masked)), [("one", 1, 5), ("#two", 7, 3), ("=>", 11, 3)]);
    }
}
