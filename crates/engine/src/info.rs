//! What a loaded model says about itself.

use std::collections::BTreeMap;

use serde::Serialize;

/// Facts for users, in the names of the face.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Info {
    /// The folder or the name as it was given.
    pub model: String,
    /// The commit, if the model came by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// `model_type` of config.json.
    pub architecture: String,
    /// Width of a vector.
    pub dims: usize,
    /// Tokens of the longest text that is not cut, special tokens included.
    pub max_length: usize,
    /// E.g. `"mean"`, or `"cls+max"`.
    pub pooling: String,
    /// A classifier's labels, in the order of its logits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<Vec<String>>,
    /// Prompts by name.
    pub prompts: BTreeMap<String, String>,
    /// Whether the model's own pipeline normalises.
    pub normalizes: bool,
    /// `"native"`, …
    pub backend: &'static str,
    /// `"cpu"`, …
    pub device: String,
    /// Why this device.
    pub device_reason: String,
    /// What is against a GPU that this binary was made for and leaves aside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_warning: Option<String>,
    /// `"f32"`, …
    pub dtype: &'static str,
    /// Why this number format.
    pub dtype_reason: String,
    /// The instruction set of the kernels.
    pub kernel: String,
    /// Threads this model may use at once.
    pub threads: usize,
    /// Whether the same text gives the same bits in any batch.
    pub batch_invariant: bool,
    /// A hash over everything that changes vectors by more than rounding, 16 hexadecimal digits.
    pub fingerprint: String,
}
