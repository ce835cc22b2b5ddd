//! A model's `config.json`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{Error, files};

/// A JSON file of a model, which knows its own path so that faults can name it.
#[derive(Debug, Clone)]
pub struct Config {
    path: PathBuf,
    value: Arc<Value>,
}

impl Config {
    /// Reads a JSON file.
    ///
    /// # Errors
    /// Absent, unreadable or not JSON.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let text = files::read(path)?.ok_or_else(|| Error::NotFound {
            path: path.into(),
            remedy: "a model folder needs it; copy the whole folder from where the model came".into(),
        })?;
        let value: Value = serde_json::from_slice(&text).map_err(|error| Error::Broken {
            path: path.into(),
            message: format!("not valid JSON: {error}; fetch it again"),
        })?;
        Ok(Self { path: path.into(), value: Arc::new(value) })
    }

    /// What a model without a config.json is known to be; faults name `path`.
    pub fn implied(path: &Path, value: Value) -> Self {
        Self { path: path.into(), value: Arc::new(value) }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Everything in it.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// The architecture's name, `model_type`.
    ///
    /// # Errors
    /// The field is missing or not a string, or the weights are of a packed kind.
    pub fn model_type(&self) -> Result<&str, Error> {
        if let Some(quantization) = self.value.get("quantization_config").filter(|value| !value.is_null()) {
            let method = quantization.get("quant_method").and_then(Value::as_str).unwrap_or("unknown");
            return Err(self.unsupported(format!(
                "weights packed by quantization_config \"{method}\" are not supported; take the unquantized model"
            )));
        }
        let named = self.value.get("model_type").and_then(Value::as_str);
        named.ok_or_else(|| {
            self.broken("no field \"model_type\"; the config of a transformers model names one")
        })
    }

    /// Its fields as `T`; fields that `T` does not name are left alone.
    ///
    /// # Errors
    /// A field that is missing or of another type.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Error> {
        T::deserialize(&*self.value).map_err(|error| self.broken(error.to_string()))
    }

    /// A fault of this file.
    pub fn broken(&self, message: impl Into<String>) -> Error {
        Error::Broken { path: self.path.clone(), message: message.into() }
    }

    /// Something this file asks for that is not supported.
    pub fn unsupported(&self, message: impl Into<String>) -> Error {
        Error::Unsupported { path: self.path.clone(), message: message.into() }
    }

    /// Checks a width or a count that tensors have: from 1 to 2²⁰, so that products of a few do not overflow.
    ///
    /// # Errors
    /// [`Error::Broken`] outside of that.
    pub fn check_size(&self, name: &str, value: usize) -> Result<(), Error> {
        self.check((1..=1 << 20).contains(&value), || {
            format!("{name} is {value}; it must be from 1 to 1048576")
        })
    }

    /// Checks what must hold between fields.
    ///
    /// # Errors
    /// [`Error::Broken`] with `message` when `holds` is false.
    pub fn check(&self, holds: bool, message: impl FnOnce() -> String) -> Result<(), Error> {
        if holds { Ok(()) } else { Err(self.broken(message())) }
    }
}
