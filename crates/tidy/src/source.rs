//! Source text with its comments and literals blanked: what is left is code. Lines and columns stay.
//!
//! Rust: nested block comments, raw, byte and C strings, chars against lifetimes. TypeScript and JavaScript:
//! templates (what stands in `${}` is blanked too) and regular expressions, told from a division by what stands
//! before them.

/// Blanks comments and literals of Rust.
pub fn mask_rust(text: &str) -> String {
    Masker::new(text, Language::Rust, true).run()
}

/// Blanks comments of Rust, and keeps its literals.
pub fn mask_rust_comments(text: &str) -> String {
    Masker::new(text, Language::Rust, false).run()
}

/// Blanks comments and literals of TypeScript and JavaScript.
pub fn mask_script(text: &str) -> String {
    Masker::new(text, Language::Script, true).run()
}

/// Blanks comments of TypeScript and JavaScript, and keeps its literals.
pub fn mask_script_comments(text: &str) -> String {
    Masker::new(text, Language::Script, false).run()
}

/// The line, from 1, of a byte.
pub fn line_of(text: &str, at: usize) -> usize {
    text.as_bytes()[..at].iter().filter(|&&byte| byte == b'\n').count() + 1
}

/// Where `word` stands by itself, not as a part of a longer name.
pub fn find_word(text: &str, word: &str) -> Vec<usize> {
    let bytes = text.as_bytes();
    let is_name = |at: Option<&u8>| at.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    let alone = |at: usize| {
        !is_name(at.checked_sub(1).and_then(|at| bytes.get(at))) && !is_name(bytes.get(at + word.len()))
    };
    text.match_indices(word).map(|(at, _)| at).filter(|&at| alone(at)).collect()
}

#[derive(Clone, Copy, PartialEq)]
enum Language {
    Rust,
    Script,
}

struct Masker<'a> {
    text: &'a [u8],
    language: Language,
    literals: bool,
    at: usize,
    masked: Vec<u8>,
}

impl<'a> Masker<'a> {
    fn new(text: &'a str, language: Language, literals: bool) -> Self {
        Self { text: text.as_bytes(), language, literals, at: 0, masked: Vec::with_capacity(text.len()) }
    }

    fn run(mut self) -> String {
        while self.at < self.text.len() {
            match self.span() {
                Some((end, blank)) => self.copy_to(end, blank),
                None => self.copy_to(self.at + 1, false),
            }
        }
        String::from_utf8_lossy(&self.masked).into_owned()
    }

    /// The comment or literal that begins here: its end, and whether it is blanked.
    fn span(&self) -> Option<(usize, bool)> {
        if let Some(end) = self.comment() {
            return Some((end, true));
        }
        let literal = match self.language {
            Language::Rust => self.rust_literal(),
            Language::Script => self.script_literal(),
        };
        literal.map(|end| (end, self.literals))
    }

    fn comment(&self) -> Option<usize> {
        match self.rest() {
            [b'/', b'/', ..] => Some(self.find_from(self.at, b'\n')),
            [b'/', b'*', ..] => Some(self.block_comment_end()),
            _ => None,
        }
    }

    fn block_comment_end(&self) -> usize {
        let nests = self.language == Language::Rust;
        let (mut at, mut depth) = (self.at + 2, 1);
        while at < self.text.len() && depth > 0 {
            let step = match &self.text[at..] {
                [b'*', b'/', ..] => {
                    depth -= 1;
                    2
                }
                [b'/', b'*', ..] if nests => {
                    depth += 1;
                    2
                }
                _ => 1,
            };
            at += step;
        }
        at
    }

    fn rust_literal(&self) -> Option<usize> {
        match self.rest() {
            [b'"', ..] => Some(self.quoted_end(self.at, b'"')),
            [b'\'', ..] => self.char_end(),
            [b'r' | b'b' | b'c', ..] if !self.follows_name() => self.raw_string_end(),
            _ => None,
        }
    }

    /// `r"…"`, `r#"…"#`, `br"…"`, `cr"…"`. Other prefixes are left to the quote after them.
    fn raw_string_end(&self) -> Option<usize> {
        let prefix = self.rest().iter().take_while(|byte| byte.is_ascii_lowercase()).count();
        let hashes = self.rest()[prefix..].iter().take_while(|&&byte| byte == b'#').count();
        let open = self.at + prefix + hashes;
        let is_raw =
            prefix <= 2 && self.text[self.at + prefix - 1] == b'r' && self.text.get(open) == Some(&b'"');
        let close: Vec<u8> = [b'"'].into_iter().chain(std::iter::repeat_n(b'#', hashes)).collect();
        let length = || self.text[open + 1..].windows(close.len()).position(|window| window == close);
        is_raw.then(|| length().map_or(self.text.len(), |length| open + 1 + length + close.len()))
    }

    /// A char literal, or None for a lifetime.
    fn char_end(&self) -> Option<usize> {
        let rest = self.rest();
        if rest.get(1) == Some(&b'\\') {
            return Some(self.quoted_end(self.at, b'\''));
        }
        // One character, of up to four bytes, and the closing quote.
        let width = std::str::from_utf8(&rest[1..rest.len().min(5)])
            .map_or_else(|error| error.valid_up_to(), str::len);
        let first = std::str::from_utf8(&rest[1..=width]).ok()?.chars().next()?.len_utf8();
        (rest.get(1 + first) == Some(&b'\'')).then_some(self.at + first + 2)
    }

    fn script_literal(&self) -> Option<usize> {
        match self.rest() {
            [quote @ (b'"' | b'\''), ..] => Some(self.quoted_end(self.at, *quote)),
            [b'`', ..] => Some(self.template_end(self.at)),
            [b'/', ..] if self.may_be_regex() => Some(self.regex_end()),
            _ => None,
        }
    }

    fn template_end(&self, open: usize) -> usize {
        let (mut at, mut depth) = (open + 1, 0_usize);
        while at < self.text.len() {
            match &self.text[at..] {
                [b'\\', ..] => at += 1,
                [b'`', ..] if depth == 0 => return at + 1,
                [b'`', ..] => at = self.template_end(at) - 1,
                [b'$', b'{', ..] if depth == 0 => {
                    depth = 1;
                    at += 1;
                }
                [b'{', ..] if depth > 0 => depth += 1,
                [b'}', ..] if depth > 0 => depth -= 1,
                _ => {}
            }
            at += 1;
        }
        self.text.len()
    }

    /// A slash divides after a value, and begins a regular expression elsewhere.
    fn may_be_regex(&self) -> bool {
        let before = self.masked.trim_ascii_end();
        let word = before.rsplit(|byte| !byte.is_ascii_alphabetic()).next().unwrap_or_default();
        let after_keyword = [&b"return"[..], b"typeof", b"case", b"of", b"in"].contains(&word);
        after_keyword || before.last().is_none_or(|byte| b"(,=:[!&|?{};<>+-*%~".contains(byte))
    }

    fn regex_end(&self) -> usize {
        let (mut at, mut in_class) = (self.at + 1, false);
        while at < self.text.len() {
            match self.text[at] {
                b'\\' => at += 1,
                b'[' => in_class = true,
                b']' => in_class = false,
                b'/' if !in_class => return at + 1,
                b'\n' => return at,
                _ => {}
            }
            at += 1;
        }
        self.text.len()
    }

    fn quoted_end(&self, open: usize, quote: u8) -> usize {
        let mut at = open + 1;
        while at < self.text.len() && self.text[at] != quote {
            at += if self.text[at] == b'\\' { 2 } else { 1 };
        }
        (at + 1).min(self.text.len())
    }

    fn copy_to(&mut self, end: usize, blank: bool) {
        let span = &self.text[self.at..end.min(self.text.len())];
        // A blanked literal keeps its first byte where that is a quote, so that a value still looks like one.
        let first = span.first().copied().filter(|byte| blank && b"\"'`".contains(byte));
        let keep = |byte: u8| if blank && byte != b'\n' { b' ' } else { byte };
        self.masked.extend(first);
        self.masked.extend(span[usize::from(first.is_some())..].iter().map(|&byte| keep(byte)));
        self.at = end;
    }

    fn rest(&self) -> &'a [u8] {
        &self.text[self.at..]
    }

    fn find_from(&self, from: usize, byte: u8) -> usize {
        self.text[from..]
            .iter()
            .position(|&other| other == byte)
            .map_or(self.text.len(), |length| from + length)
    }

    fn follows_name(&self) -> bool {
        self.masked.last().is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `text` with X wherever something may be left, Y wherever something must be gone.
    fn check(mask: fn(&str) -> String, text: &str) {
        let masked = mask(text);
        assert_eq!(
            masked.matches('X').count(),
            text.matches('X').count(),
            "too much is gone: {text} → {masked}"
        );
        assert!(!masked.contains('Y'), "something is left: {text} → {masked}");
        assert_eq!(masked.lines().count(), text.lines().count(), "lines moved: {text}");
    }

    #[test]
    fn rust_is_masked() {
        for text in [
            "X // Y\nX",
            "X /* Y /* Y */ Y */ X",
            r#"X "Y \" Y" X"#,
            r##"X r#"Y " Y"# X"##,
            r#"X br"Y\" X"#,
            r#"X b"Y" X"#,
            "X 'Y' X '\\'' X '\\u{59}' X",
            "X 'é' X '\"' X",
            "fn f<'a>(X: &'a str) -> X<'_> { 'b': loop { X } }",
            "X r#type X",
            "X \"Y\nY\" X",
            "let bar = X; for r in X {}",
        ] {
            check(mask_rust, text);
        }
    }

    #[test]
    fn script_is_masked() {
        for text in [
            "X // Y\nX",
            "X /* Y /* Y */ X",
            r#"X 'Y \' Y' X "Y" X"#,
            "X `Y ${Y + `Y`} {Y` X",
            "X = /Y[/]Y/g; X",
            "X / X / X",
            "return /Y'/; X",
            "f('Y') / X",
            "(X) / X / X",
        ] {
            check(mask_script, text);
        }
    }

    #[test]
    fn literals_may_stay() {
        assert_eq!(mask_rust_comments("\"kept\" // gone"), "\"kept\"        ");
        assert_eq!(mask_script_comments("'a//b' // gone"), "'a//b'        ");
    }

    #[test]
    fn words_stand_alone() {
        assert_eq!(find_word("unsafe unsafe_code my_unsafe (unsafe)", "unsafe"), [0, 30]);
        assert_eq!(line_of("a\nb\nc", 4), 3);
    }
}
