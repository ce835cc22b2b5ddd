//! A classifier's labels, and what its config makes of logits.

use nn::Config;
use serde_json::{Map, Value};

use crate::Error;
use crate::spec::is_architecture;

/// More would be no classifier.
const MOST_LABELS: usize = 1 << 20;

/// The labels of a classification head.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Labels {
    /// In the order of the logits.
    pub(crate) names: Vec<String>,
    /// What makes scores of logits.
    pub(crate) scores: Scores,
}

/// From logits to scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scores {
    /// Of labels that exclude one another: they add up to 1.
    Softmax,
    /// Of labels each by itself.
    Sigmoid,
    /// Numbers that are no probabilities.
    Logits,
}

impl Labels {
    /// Reads `id2label`, `num_labels` and `problem_type`, as the text-classification pipeline of transformers does
    /// (<https://github.com/huggingface/transformers/blob/v4.57.0/src/transformers/pipelines/text_classification.py>,
    /// `postprocess`). A config without labels has two (`configuration_utils.py`).
    ///
    /// # Errors
    /// Labels whose numbers are not 0, 1, 2 …, or that are not as many as `num_labels`; a problem that is not known.
    pub(crate) fn read(config: &Config) -> Result<Self, Error> {
        let fields = config.value();
        let counted = fields["num_labels"].as_u64().map(|count| count as usize);
        let names = match named(config)? {
            Some(named) => (0..named.len())
                .map(|id| named.get(&id.to_string()).and_then(|name| name.as_str()).map(String::from))
                .collect::<Option<Vec<_>>>()
                .ok_or_else(|| {
                    config.broken("id2label must name the labels \"0\", \"1\", \"2\" … without a gap")
                })?,
            None => {
                let count = counted.unwrap_or(2);
                config.check(count <= MOST_LABELS, || {
                    format!("num_labels is {count}; at most {MOST_LABELS} are read")
                })?;
                (0..count).map(|id| format!("LABEL_{id}")).collect()
            }
        };
        config.check(!names.is_empty(), || "has no labels".into())?;
        config.check(counted.is_none_or(|count| count == names.len()), || {
            format!("num_labels is {}, and id2label names {}", counted.unwrap_or(0), names.len())
        })?;
        let scores = Scores::named(config, names.len())?;
        Ok(Self { names, scores })
    }
}

/// `id2label`, if there is one. A list is none: transformers reads no such config either.
pub(crate) fn named(config: &Config) -> Result<Option<&Map<String, Value>>, Error> {
    match &config.value()["id2label"] {
        Value::Null => Ok(None),
        Value::Object(named) => Ok(Some(named)),
        other => {
            let message = format!("id2label is {other}; an object {{ \"0\": name, … }} is expected");
            Err(config.broken(message).into())
        }
    }
}

/// How many labels a sequence classifier has, as far as can be told; `None` of other models.
pub(crate) fn count(config: &Config) -> Option<usize> {
    if !is_architecture(config, "ForSequenceClassification") {
        return None;
    }
    let fields = config.value();
    let named = fields["id2label"].as_object().map(Map::len);
    Some(named.or_else(|| fields["num_labels"].as_u64().map(|count| count as usize)).unwrap_or(2))
}

impl Scores {
    fn named(config: &Config, labels: usize) -> Result<Self, Error> {
        match config.value()["problem_type"].as_str() {
            Some("multi_label_classification") => Ok(Self::Sigmoid),
            Some("single_label_classification") => Ok(Self::Softmax),
            Some("regression") => Ok(Self::Logits),
            None if labels == 1 => Ok(Self::Sigmoid),
            None => Ok(Self::Softmax),
            Some(other) => Err(config.unsupported(format!("problem_type \"{other}\" is not known")).into()),
        }
    }

    /// Scores of logits, in place. In f64, where no exponential of a difference overflows.
    pub(crate) fn apply(self, values: &mut [f32]) {
        match self {
            Self::Logits => {}
            Self::Sigmoid => values.iter_mut().for_each(|value| *value = sigmoid(*value)),
            Self::Softmax => {
                let most = f64::from(values.iter().copied().fold(f32::NEG_INFINITY, f32::max));
                let total: f64 = values.iter().map(|&value| (f64::from(value) - most).exp()).sum();
                values
                    .iter_mut()
                    .for_each(|value| *value = ((f64::from(*value) - most).exp() / total) as f32);
            }
        }
    }
}

/// The logistic function.
pub(crate) fn sigmoid(logit: f32) -> f32 {
    (1.0 / (1.0 + (-f64::from(logit)).exp())) as f32
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::*;

    fn read(fields: Value) -> Result<Labels, Error> {
        Labels::read(&Config::implied(Path::new("config.json"), fields))
    }

    #[test]
    fn labels_come_in_the_order_of_their_numbers() {
        let named: serde_json::Map<_, _> =
            (0..12).map(|id| (id.to_string(), json!(format!("l{id}")))).collect();
        let labels = read(json!({ "id2label": named })).unwrap();
        assert_eq!(labels.names[10], "l10");
        assert_eq!(labels.scores, Scores::Softmax);
        assert_eq!(read(json!({ "num_labels": 1 })).unwrap().scores, Scores::Sigmoid);
        assert_eq!(read(json!({})).unwrap().names, ["LABEL_0", "LABEL_1"]);
    }

    #[test]
    fn labels_that_disagree_are_refused() {
        for (fields, said) in [
            (json!({ "id2label": { "0": "a", "2": "b" } }), "without a gap"),
            (json!({ "id2label": { "0": "a", "1": 7 } }), "without a gap"),
            (
                json!({ "id2label": { "0": "a", "1": "b" }, "num_labels": 3 }),
                "num_labels is 3, and id2label names 2",
            ),
            (json!({ "id2label": ["a", "b"] }), "an object"),
            (json!({ "id2label": {} }), "no labels"),
            (json!({ "num_labels": u64::MAX }), "at most"),
            (json!({ "problem_type": "poetry" }), "not known"),
        ] {
            let error = read(fields.clone()).unwrap_err().to_string();
            assert!(error.contains(said), "{fields}: {error}");
        }
    }

    #[test]
    fn extreme_logits_give_probabilities() {
        let mut values = [f32::MAX, f32::MIN, 0.0];
        Scores::Softmax.apply(&mut values);
        assert_eq!(values, [1.0, 0.0, 0.0]);
        let mut values = [1000.0, -1000.0];
        Scores::Sigmoid.apply(&mut values);
        assert_eq!(values, [1.0, 0.0]);
    }
}
