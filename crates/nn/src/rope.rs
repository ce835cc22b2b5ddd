//! Rotary position embedding (Su et al. 2021, arXiv:2104.09864).

use std::sync::{Arc, PoisonError, RwLock};

use serde::Deserialize;
use serde_json::Value;

use crate::{Config, Error};

/// Which columns of a head are rotated together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RopeStyle {
    /// Column `i` with column `i + dim/2` (GPT-NeoX, Llama, most encoders).
    Half,
    /// Column `2i` with column `2i + 1` (GPT-J).
    Interleaved,
}

/// Cosines and sines of the first `positions` positions, each `[positions][dim/2]`.
#[derive(Debug)]
pub struct RopeTable {
    /// Rows of both.
    pub positions: usize,
    /// Cosines.
    pub cos: Vec<f32>,
    /// Sines.
    pub sin: Vec<f32>,
}

/// The frequencies of a rotation, and a table of its angles that grows with the longest text seen.
#[derive(Debug)]
pub struct Rope {
    /// Columns of a head that are rotated; the rest pass through.
    pub dim: usize,
    /// How columns are paired.
    pub style: RopeStyle,
    theta: f32,
    table: RwLock<Arc<RopeTable>>,
}

impl Rope {
    /// Frequencies `theta^(-2i/dim)`, in f32 as the reference computes them
    /// (`transformers/modeling_rope_utils.py`, `_compute_default_rope_parameters`). Computes nothing yet.
    pub fn new(theta: f32, dim: usize, style: RopeStyle) -> Self {
        let table = RopeTable { positions: 0, cos: Vec::new(), sin: Vec::new() };
        Self { dim, style, theta, table: RwLock::new(Arc::new(table)) }
    }

    /// A table of at least `positions` positions.
    pub fn table(&self, positions: usize) -> Arc<RopeTable> {
        let current = self.table.read().unwrap_or_else(PoisonError::into_inner).clone();
        if current.positions >= positions {
            return current;
        }
        let grown = Arc::new(self.compute(positions.next_power_of_two()));
        *self.table.write().unwrap_or_else(PoisonError::into_inner) = grown.clone();
        grown
    }

    fn compute(&self, positions: usize) -> RopeTable {
        let frequency = |i: usize| 1.0 / self.theta.powf(i as f32 / self.dim as f32);
        let frequencies: Vec<f32> = (0..self.dim).step_by(2).map(frequency).collect();
        let angles = (0..positions).flat_map(|position| frequencies.iter().map(move |f| position as f32 * f));
        let (sin, cos) =
            angles.map(|angle| f64::from(angle).sin_cos()).map(|(s, c)| (s as f32, c as f32)).unzip();
        RopeTable { positions, cos, sin }
    }
}

/// The rotary fields of a config, in the names of transformers 4 and 5. Part of a model's own config by
/// `#[serde(flatten)]`.
#[derive(Debug, Default, Deserialize)]
pub struct RopeSettings {
    rope_theta: Option<f32>,
    rope_scaling: Option<Value>,
    rope_parameters: Option<Value>,
}

impl RopeSettings {
    /// The base of the frequencies, else `default`. `layer_type` picks one of several settings where the
    /// config has them by layer type (`full_attention`, `sliding_attention`).
    ///
    /// # Errors
    /// A scaled variant, which would need other frequencies.
    pub fn theta(&self, config: &Config, layer_type: &str, default: f32) -> Result<f32, Error> {
        let parameters = self.rope_parameters.as_ref().map(|all| all.get(layer_type).unwrap_or(all));
        for settings in [self.rope_scaling.as_ref(), parameters].into_iter().flatten() {
            refuse_scaling(config, settings)?;
        }
        let newer = parameters.and_then(|settings| settings.get("rope_theta")).and_then(Value::as_f64);
        let theta = newer.map(|theta| theta as f32).or(self.rope_theta).unwrap_or(default);
        config.check(theta.is_finite() && theta > 0.0, || {
            format!("rope_theta is {theta}; it must be above 0")
        })?;
        Ok(theta)
    }
}

fn refuse_scaling(config: &Config, settings: &Value) -> Result<(), Error> {
    let kind = settings.get("rope_type").or_else(|| settings.get("type")).and_then(Value::as_str);
    match kind {
        None | Some("default") => Ok(()),
        Some(kind) => Err(config.unsupported(format!(
            "rotary positions scaled by \"{kind}\" are not supported for this architecture; only \"default\" is"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grown_table_begins_with_the_same_bits() {
        let rope = Rope::new(10_000.0, 8, RopeStyle::Half);
        let small = rope.table(3);
        let large = rope.table(100);
        assert!(large.positions >= 100 && small.positions < 100);
        assert_eq!(small.cos[..], large.cos[..small.cos.len()]);
        assert_eq!(small.sin[..], large.sin[..small.sin.len()]);
        assert_eq!((large.cos[0], large.sin[0]), (1.0, 0.0));
    }
}
