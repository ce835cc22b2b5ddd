//! What the models of a process are loaded with: a preset, a file over it, single settings over both.

use std::path::{Path, PathBuf};

use nn::files;
use serde::Serialize;
use serde_json::Value;

use super::fields::{Fields, Origin, meant};
use super::registration::Registration;
use crate::Error;
use crate::place::Inventory;

/// Settings that hold for the whole process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Settings {
    /// The preset they began with.
    pub preset: String,
    /// Bytes for all models and their work; `None`: no limit.
    pub memory_budget: Option<u64>,
    /// Milliseconds without a call after which a model is let go; `None`: never.
    pub idle_timeout: Option<u64>,
    /// Milliseconds that a launch may take; `None`: no limit. The face keeps the time.
    pub load_timeout: Option<u64>,
    /// The most tokens of a text; a model that reads fewer keeps its own limit.
    pub max_length: usize,
    /// Whether a model computes before it is ready.
    pub warm_up: bool,
    /// Texts of the batches of a warm-up.
    pub batch_buckets: Vec<usize>,
    /// Tokens of the texts of a warm-up.
    pub length_buckets: Vec<usize>,
    /// How many models the settings' file names; the budget is cut for them.
    pub configured_models: usize,
}

/// The names of settings, in the options of a call and in a file.
const NAMES: [&str; 8] = [
    "preset",
    "memoryBudget",
    "idleTimeout",
    "loadTimeout",
    "maxLength",
    "warmUp",
    "batchBuckets",
    "lengthBuckets",
];

/// What JavaScript can count to.
const MOST_BYTES: u64 = 1 << 53;
/// What a JavaScript timer can wait for, in milliseconds.
const MOST_TIME: u64 = (1 << 31) - 1;
/// Texts of a batch, tokens of a text.
const MOST_TEXTS: u64 = 1024;
const MOST_TOKENS: u64 = 1 << 20;

impl Settings {
    /// All presets; the first is the default.
    pub fn presets() -> [Self; 2] {
        let plain = Self {
            preset: "default".into(),
            memory_budget: None,
            idle_timeout: None,
            load_timeout: None,
            max_length: 512,
            warm_up: false,
            batch_buckets: vec![1],
            length_buckets: vec![512],
            configured_models: 0,
        };
        let performance = Self {
            preset: "performance".into(),
            max_length: 4096,
            warm_up: true,
            batch_buckets: (1..=8).collect(),
            length_buckets: (512..=4096).step_by(512).collect(),
            ..plain.clone()
        };
        [plain, performance]
    }

    fn preset(name: &str) -> Option<Self> {
        Self::presets().into_iter().find(|preset| preset.preset == name)
    }

    /// Takes what an object sets.
    fn apply(&mut self, fields: &Fields<'_>) -> Result<(), Error> {
        take(&mut self.memory_budget, fields.limit("memoryBudget", MOST_BYTES)?);
        take(&mut self.idle_timeout, fields.limit("idleTimeout", MOST_TIME)?);
        take(&mut self.load_timeout, fields.limit("loadTimeout", MOST_TIME)?);
        take(&mut self.max_length, fields.whole("maxLength", MOST_TOKENS)?.map(|tokens| tokens as usize));
        take(&mut self.warm_up, fields.flag("warmUp")?);
        take(&mut self.batch_buckets, fields.numbers("batchBuckets", MOST_TEXTS)?);
        take(&mut self.length_buckets, fields.numbers("lengthBuckets", MOST_TOKENS)?);
        Ok(())
    }

    /// A budget that cannot be had would refuse nothing; GPUs are asked only where the machine's memory is too little.
    fn check_budget(&self, set_by: &Fields<'_>, memory: u64) -> Result<(), Error> {
        match self.memory_budget.filter(|budget| *budget > memory) {
            Some(budget) => Inventory::this()
                .holds(budget, memory)
                .map_err(|reason| set_by.fault(format!("memoryBudget: {reason}"))),
            None => Ok(()),
        }
    }

    /// The first setting in which two differ: its name and both values.
    pub(crate) fn difference(&self, other: &Self) -> Option<String> {
        let fields = |settings: &Self| serde_json::to_value(settings).unwrap_or_default();
        let (one, other) = (fields(self), fields(other));
        let all = one.as_object()?.iter();
        all.filter(|(name, value)| other[name.as_str()] != **value)
            .map(|(name, value)| format!("{name} is {value} and not {}", other[name.as_str()]))
            .next()
    }
}

impl Default for Settings {
    fn default() -> Self {
        let [plain, _] = Self::presets();
        plain
    }
}

fn take<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

/// What a call of `new Models(…)` asks for.
#[derive(Debug)]
pub(crate) struct Asked {
    /// None where it asks for nothing: whatever holds is right.
    pub(crate) settings: Option<Settings>,
    /// The models of its file.
    pub(crate) models: Vec<Registration>,
}

impl Asked {
    /// Reads options as JSON, and the file that `config` names in them; the machine has `memory` bytes.
    ///
    /// # Errors
    /// `ERR_INVALID_ARGUMENT` for the options, `ERR_SETTINGS` for the file.
    pub(crate) fn read(options: &str, memory: u64) -> Result<Self, Error> {
        let origin = Origin::Call("Models");
        let options = origin.parse(options.as_bytes())?;
        let known: Vec<_> = NAMES.into_iter().chain(["config"]).collect();
        let fields = Fields::of(&options, origin, "options", &known)?;
        if options.as_object().is_some_and(serde_json::Map::is_empty) {
            return Ok(Self { settings: None, models: Vec::new() });
        }
        match fields.text("config")?.map(PathBuf::from) {
            Some(path) => Self::with_file(&fields, &path, memory),
            None => {
                let mut settings = beginning(&[fields])?;
                settings.apply(&fields)?;
                settings.check_budget(&fields, memory)?;
                Ok(Self { settings: Some(settings), models: Vec::new() })
            }
        }
    }

    fn with_file(options: &Fields<'_>, path: &Path, memory: u64) -> Result<Self, Error> {
        let origin = Origin::File(path);
        let text = files::read(path).map_err(|error| Error::Settings { message: error.to_string() })?;
        let text = text.ok_or_else(|| origin.fault("config names this file, which is not there"))?;
        let file = origin.parse(&text)?;
        let known: Vec<_> = NAMES.into_iter().chain(["models"]).collect();
        let fields = Fields::of(&file, origin, "the file", &known)?;
        let models = match fields.value("models") {
            Some(models) => named_models(models, path)?,
            None => Vec::new(),
        };
        let mut settings = beginning(&[*options, fields])?;
        settings.apply(&fields)?;
        settings.apply(options)?;
        let by = if options.value("memoryBudget").is_some() { options } else { &fields };
        settings.check_budget(by, memory)?;
        settings.configured_models = models.len();
        Ok(Self { settings: Some(settings), models })
    }
}

/// The preset that the first of some objects names.
fn beginning(objects: &[Fields<'_>]) -> Result<Settings, Error> {
    for fields in objects {
        if let Some(name) = fields.text("preset")? {
            return Settings::preset(&name).ok_or_else(|| unknown_preset(fields, &name));
        }
    }
    Ok(Settings::default())
}

fn unknown_preset(fields: &Fields<'_>, name: &str) -> Error {
    let names = Settings::presets().map(|preset| preset.preset);
    let meant = meant(name, names.iter().map(String::as_str));
    fields.fault(format!("there is no preset {name:?}{meant}; there are {}", names.join(", ")))
}

/// The models of a file; their folders are seen from where the file lies.
fn named_models(models: &Value, path: &Path) -> Result<Vec<Registration>, Error> {
    let origin = Origin::File(path);
    let Some(models) = models.as_object() else {
        return Err(origin.fault(format!("models must be an object, got {models}")));
    };
    let base = path.parent().unwrap_or(Path::new("."));
    models.iter().map(|(name, about)| Registration::read(name, about, origin, base)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMORY: u64 = 1 << 30;

    fn file(name: &str, text: &str) -> String {
        let path = std::env::temp_dir().join(format!("embed-native-{}-{name}.json", std::process::id()));
        std::fs::write(&path, text).unwrap();
        path.to_string_lossy().replace('\\', "/")
    }

    fn settings(options: &str) -> Settings {
        Asked::read(options, MEMORY).unwrap().settings.unwrap()
    }

    #[test]
    fn a_single_setting_wins_over_the_file_and_the_file_over_the_preset() {
        let config = file(
            "order",
            r#"{ "preset": "performance", "memoryBudget": 1000, "maxLength": 64, "models": {} }"#,
        );
        let found = settings(&format!(r#"{{ "config": "{config}", "maxLength": 32 }}"#));
        assert_eq!((found.max_length, found.memory_budget), (32, Some(1000)));
        assert!(found.warm_up, "the file's preset");
        let found =
            settings(&format!(r#"{{ "config": "{config}", "preset": "default", "memoryBudget": null }}"#));
        assert_eq!((found.max_length, found.memory_budget, found.warm_up), (64, None, false));
    }

    #[test]
    fn the_presets_are_these() {
        let [plain, performance] = Settings::presets();
        assert_eq!((plain.max_length, plain.warm_up), (512, false));
        assert_eq!(performance.batch_buckets, [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(performance.length_buckets, [512, 1024, 1536, 2048, 2560, 3072, 3584, 4096]);
        assert!(performance.warm_up);
    }

    #[test]
    fn no_options_ask_for_nothing() {
        assert!(Asked::read("{}", MEMORY).unwrap().settings.is_none());
    }

    #[test]
    fn what_is_wrong_is_named() {
        let cases = [
            (r#"{ "preset": "performence" }"#.into(), "ERR_INVALID_ARGUMENT", "mean \"performance\""),
            (r#"{ "idleTimout": 5 }"#.into(), "ERR_INVALID_ARGUMENT", "mean \"idleTimeout\""),
            ("[]".into(), "ERR_INVALID_ARGUMENT", "must be an object"),
            (r#"{ "config": "gone.json" }"#.into(), "ERR_SETTINGS", "not there"),
            (broken("cut", "{ \"memoryBudget\": "), "ERR_SETTINGS", "not valid JSON"),
            (broken("list", "[]"), "ERR_SETTINGS", "must be an object"),
            (broken("key", r#"{ "maxLenght": 5 }"#), "ERR_SETTINGS", "mean \"maxLength\""),
            (broken("models", r#"{ "models": [] }"#), "ERR_SETTINGS", "models must be an object"),
            (broken("model", r#"{ "models": { "a": {} } }"#), "ERR_SETTINGS", "folder"),
            (broken("name", r#"{ "models": { "a/b": { "folder": "x" } } }"#), "ERR_SETTINGS", "\"a/b\""),
        ];
        for (options, code, words) in cases {
            let error = Asked::read(&options, MEMORY).unwrap_err();
            assert_eq!(error.code(), code, "{options}: {error}");
            assert!(error.to_string().contains(words), "{options}: {error}");
        }
    }

    fn broken(name: &str, text: &str) -> String {
        format!(r#"{{ "config": "{}" }}"#, file(name, text))
    }

    #[test]
    fn folders_are_seen_from_the_file() {
        let config = file("models", r#"{ "models": { "tiny": { "folder": "models/tiny" } } }"#);
        let models = Asked::read(&format!(r#"{{ "config": "{config}" }}"#), MEMORY).unwrap().models;
        assert_eq!(Path::new(&models[0].folder), std::env::temp_dir().join("models/tiny"));
    }

    #[test]
    fn a_budget_that_cannot_be_had_is_the_fault_of_who_set_it() {
        let all = settings(&format!(r#"{{ "memoryBudget": {MEMORY} }}"#));
        assert_eq!(all.memory_budget, Some(MEMORY));
        let config = file("budget", r#"{ "memoryBudget": 9007199254740992 }"#);
        for (options, code) in [
            (r#"{ "memoryBudget": 9007199254740992 }"#.to_string(), "ERR_INVALID_ARGUMENT"),
            (format!(r#"{{ "config": "{config}" }}"#), "ERR_SETTINGS"),
        ] {
            let error = Asked::read(&options, MEMORY).unwrap_err();
            assert_eq!(error.code(), code, "{options}: {error}");
            assert!(error.to_string().contains("memoryBudget: 9007199254740992 bytes are more"), "{error}");
            assert!(error.to_string().contains("there is cpu"), "{error}");
        }
        // Another machine's file, with this one's budget.
        let here = settings(&format!(r#"{{ "config": "{config}", "memoryBudget": 1000 }}"#));
        assert_eq!(here.memory_budget, Some(1000));
    }

    #[test]
    fn a_difference_is_named() {
        let [plain, performance] = Settings::presets();
        assert_eq!(plain.difference(&plain.clone()), None);
        assert!(plain.difference(&performance).unwrap().contains(" and not "));
    }
}
