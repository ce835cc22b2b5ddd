//! A JSON object of settings, read field by field. Whatever is wrong is refused by name, and so is a name that is
//! nobody's: a misspelt setting that is ignored would be a wrong one.

use std::path::Path;

use serde_json::{Map, Value};

use crate::Error;

/// Where an object came from, which decides what its faults are called.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Origin<'a> {
    /// The arguments of a call of that name.
    Call(&'static str),
    /// A file of settings.
    File(&'a Path),
}

impl Origin<'_> {
    /// A fault of it.
    pub(crate) fn fault(self, message: impl std::fmt::Display) -> Error {
        match self {
            Self::Call(name) => Error::Options { message: format!("{name}: {message}") },
            Self::File(path) => Error::Settings { message: format!("{}: {message}", path.display()) },
        }
    }

    /// A number of it that is none of those it may be.
    fn range(self, message: String) -> Error {
        match self {
            Self::Call(name) => Error::Range { message: format!("{name}: {message}") },
            Self::File(_) => self.fault(message),
        }
    }

    /// The text as JSON.
    pub(crate) fn parse(self, text: &[u8]) -> Result<Value, Error> {
        serde_json::from_slice(text).map_err(|error| self.fault(format!("is not valid JSON: {error}")))
    }
}

/// An object and where it came from.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'a> {
    origin: Origin<'a>,
    fields: &'a Map<String, Value>,
}

impl<'a> Fields<'a> {
    /// An object that has no other fields than `known`; `what` it is, for faults.
    pub(crate) fn of(
        value: &'a Value,
        origin: Origin<'a>,
        what: &str,
        known: &[&str],
    ) -> Result<Self, Error> {
        let Some(fields) = value.as_object() else {
            return Err(origin.fault(format!("{what} must be an object, got {value}")));
        };
        match fields.keys().find(|name| !known.contains(&name.as_str())) {
            Some(name) => Err(origin.fault(unknown(what, name, known))),
            None => Ok(Self { origin, fields }),
        }
    }

    /// A field that is there, be it null.
    pub(crate) fn value(&self, name: &str) -> Option<&'a Value> {
        self.fields.get(name)
    }

    /// A fault of it.
    pub(crate) fn fault(&self, message: impl std::fmt::Display) -> Error {
        self.origin.fault(message)
    }

    /// A whole number from 1 on. Absent: `None`.
    pub(crate) fn whole(&self, name: &str, most: u64) -> Result<Option<u64>, Error> {
        self.number(name, most, "")
    }

    /// As [`whole`](Self::whole); null is a value of its own, no limit.
    pub(crate) fn limit(&self, name: &str, most: u64) -> Result<Option<Option<u64>>, Error> {
        match self.value(name) {
            Some(Value::Null) => Ok(Some(None)),
            _ => Ok(self.number(name, most, ", or null for no limit")?.map(Some)),
        }
    }

    fn number(&self, name: &str, most: u64, or: &str) -> Result<Option<u64>, Error> {
        let Some(value) = self.value(name) else { return Ok(None) };
        // JavaScript writes 4e9 as a whole number, people may write it as it is.
        let exact = |number: f64| (number.fract() == 0.0 && number >= 0.0).then_some(number as u64);
        let number = value.as_u64().or_else(|| value.as_f64().and_then(exact));
        match number.filter(|number| (1..=most).contains(number)) {
            Some(number) => Ok(Some(number)),
            None => {
                let message = format!("{name} must be a whole number from 1 to {most}{or}, got {value}");
                Err(if value.is_number() { self.origin.range(message) } else { self.fault(message) })
            }
        }
    }

    /// True or false.
    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>, Error> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(*value)),
            Some(other) => Err(self.fault(format!("{name} must be true or false, got {other}"))),
        }
    }

    /// A text that is not empty.
    pub(crate) fn text(&self, name: &str) -> Result<Option<String>, Error> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::String(text)) if !text.is_empty() => Ok(Some(text.clone())),
            Some(other) => Err(self.fault(format!("{name} must be a text, got {other}"))),
        }
    }

    /// One of some words.
    pub(crate) fn word(&self, name: &str, known: &[&str]) -> Result<Option<String>, Error> {
        let word = self.text(name)?;
        word.iter().try_for_each(|word| self.check_word(name, word, known))?;
        Ok(word)
    }

    /// Some of some words, as an array.
    pub(crate) fn words(&self, name: &str, known: &[&str]) -> Result<Option<Vec<String>>, Error> {
        let words = self.texts(name)?;
        for (at, word) in words.iter().flatten().enumerate() {
            self.check_word(&format!("{name}[{at}]"), word, known)?;
        }
        Ok(words)
    }

    fn check_word(&self, name: &str, word: &str, known: &[&str]) -> Result<(), Error> {
        if known.contains(&word) {
            return Ok(());
        }
        let all = known.iter().map(|known| format!("{known:?}")).collect::<Vec<_>>().join(" or ");
        let meant = meant(word, known.iter().copied());
        Err(self.fault(format!("{name} must be {all}, got {word:?}{meant}")))
    }

    /// Texts that are not empty, as an array; at least one, at most 64.
    pub(crate) fn texts(&self, name: &str) -> Result<Option<Vec<String>>, Error> {
        let Some(value) = self.value(name) else { return Ok(None) };
        let expected = || self.fault(format!("{name} must be an array of 1 to 64 texts, got {value}"));
        let items = value.as_array().filter(|items| (1..=64).contains(&items.len())).ok_or_else(expected)?;
        let text = |item: &Value| item.as_str().filter(|text| !text.is_empty()).map(String::from);
        items.iter().map(|item| text(item).ok_or_else(expected)).collect::<Result<_, _>>().map(Some)
    }

    /// Whole numbers from 1 to `most`, ascending once read; at least one, at most 64.
    pub(crate) fn numbers(&self, name: &str, most: u64) -> Result<Option<Vec<usize>>, Error> {
        let Some(value) = self.value(name) else { return Ok(None) };
        let expected =
            || self.fault(format!("{name} must be 1 to 64 whole numbers from 1 to {most}, got {value}"));
        let items = value.as_array().filter(|items| (1..=64).contains(&items.len())).ok_or_else(expected)?;
        let number = |item: &Value| item.as_u64().filter(|number| (1..=most).contains(number));
        let mut numbers = items
            .iter()
            .map(|item| Ok(number(item).ok_or_else(expected)? as usize))
            .collect::<Result<Vec<_>, Error>>()?;
        numbers.sort_unstable();
        numbers.dedup();
        Ok(Some(numbers))
    }
}

fn unknown(what: &str, name: &str, known: &[&str]) -> String {
    format!("{what} has no field {name:?}{}; it has {}", meant(name, known.iter().copied()), known.join(", "))
}

/// ` (did you mean "…"?)` where a name that is known comes close.
pub(crate) fn meant<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let closest = known.map(|other| (distance(name, other), other)).min();
    match closest {
        Some((distance, other)) if distance <= 1 + name.chars().count() / 3 => {
            format!(" (did you mean {other:?}?)")
        }
        _ => String::new(),
    }
}

/// How many letters must be added, taken away or replaced, whatever their case (Levenshtein 1966). Names longer than
/// any of ours are far from all of them.
fn distance(one: &str, other: &str) -> usize {
    let letters = |word: &str| word.to_lowercase().chars().take(65).collect::<Vec<_>>();
    let (one, other) = (letters(one), letters(other));
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (above, letter) in one.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = above + 1;
        for (at, candidate) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != candidate);
            diagonal = row[at + 1];
            row[at + 1] = replaced.min(diagonal + 1).min(row[at] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const KNOWN: [&str; 3] = ["memoryBudget", "warmUp", "lengthBuckets"];

    #[test]
    fn a_misspelt_name_is_refused_with_the_nearest() {
        let fault = |value: Value| match Fields::of(&value, Origin::Call("Models"), "options", &KNOWN) {
            Ok(_) => String::new(),
            Err(error) => error.to_string(),
        };
        assert!(fault(json!({ "memorybuget": 1 })).contains("did you mean \"memoryBudget\"?"));
        assert!(fault(json!({ "warmup": true })).contains("did you mean \"warmUp\"?"));
        let far = fault(json!({ "colour": 1 }));
        assert!(far.contains("no field \"colour\"; it has memoryBudget") && !far.contains("mean"), "{far}");
        assert!(fault(json!([1])).contains("must be an object, got [1]"));
        assert_eq!(fault(json!({ "warmUp": true })), "");
    }

    #[test]
    fn values_are_what_their_names_promise() {
        let value = json!({ "memoryBudget": 4e9, "warmUp": 1, "lengthBuckets": [3, 1, 3] });
        let fields = Fields::of(&value, Origin::Call("Models"), "options", &KNOWN).unwrap();
        assert_eq!(fields.whole("memoryBudget", u64::MAX).unwrap(), Some(4_000_000_000));
        assert_eq!(fields.numbers("lengthBuckets", 3).unwrap(), Some(vec![1, 3]));
        assert_eq!(fields.whole("absent", 1).unwrap(), None);
        let beyond = fields.limit("memoryBudget", 7).unwrap_err();
        assert_eq!(beyond.code(), "ERR_ARGUMENT_RANGE");
        assert!(
            beyond.to_string().ends_with("from 1 to 7, or null for no limit, got 4000000000.0"),
            "{beyond}"
        );
        for wrong in [fields.whole("lengthBuckets", 7).unwrap_err(), fields.flag("warmUp").unwrap_err()] {
            assert_eq!(wrong.code(), "ERR_INVALID_ARGUMENT", "{wrong}");
        }
        assert!(fields.numbers("lengthBuckets", 2).is_err() && fields.text("warmUp").is_err());
        for wrong in [json!(0), json!(-1), json!(1.5), json!("8"), json!(null)] {
            let value = json!({ "memoryBudget": wrong });
            let fields = Fields::of(&value, Origin::File(Path::new("m.json")), "it", &KNOWN).unwrap();
            assert_eq!(fields.whole("memoryBudget", 9).unwrap_err().code(), "ERR_SETTINGS", "{wrong}");
        }
    }

    #[test]
    fn distances_are_levenshteins() {
        for (one, other, steps) in [("kitten", "sitting", 3), ("", "abc", 3), ("same", "SAME", 0)] {
            assert_eq!(distance(one, other), steps, "{one} {other}");
            assert_eq!(distance(other, one), steps, "{other} {one}");
        }
    }
}
