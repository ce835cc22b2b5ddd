//! Where a model's parts lie, as its files claim it: what an executor is asked to load.

use std::path::{Path, PathBuf};

use backend::Pooling;

use crate::{Activation, Checkpoint, Config, Error, adapter};

/// A transformer and what follows it.
#[derive(Debug, Clone)]
pub struct Source {
    /// Holds the transformer's weights.
    pub folder: PathBuf,
    /// Its config.json.
    pub config: Config,
    /// A PEFT adapter to merge into the weights.
    pub adapter: Option<PathBuf>,
    /// What follows the transformer.
    pub head: HeadSource,
}

impl Source {
    /// How many numbers its tensors hold, by the headers of its files. Some may not be read; those of an adapter become
    /// part of the others or stand beside them, and so does an output layer that is the embedding table.
    ///
    /// # Errors
    /// Weights that are not there, or whose headers lie.
    pub fn numbers(&self) -> Result<u64, Error> {
        let mut sum = Checkpoint::open(&self.folder)?.numbers();
        if let Some(folder) = &self.adapter {
            sum = sum.saturating_add(Checkpoint::of_file(folder.join(adapter::WEIGHTS))?.numbers());
        }
        if let HeadSource::Vocabulary { .. } = self.head {
            sum = sum.saturating_add(self.table());
        }
        for layer in self.head.layers().into_iter().filter(|layer| layer.is_apart(&self.folder)) {
            sum = sum.saturating_add(layer.open()?.numbers());
        }
        Ok(sum)
    }

    /// Numbers of the embedding table, by the config.
    fn table(&self) -> u64 {
        let fields = self.config.value();
        let columns = fields["hidden_size"].as_u64().or(fields["dim"].as_u64()).unwrap_or(0);
        fields["vocab_size"].as_u64().unwrap_or(0).saturating_mul(columns)
    }
}

/// What follows a transformer.
#[derive(Debug, Clone)]
pub enum HeadSource {
    /// Pooling and layers behind it: one vector a text.
    Embedding {
        /// How tokens become one vector.
        pooling: Pooling,
        /// Layers behind the pooling, in order.
        layers: Vec<LayerSource>,
    },
    /// The architecture's own classification head: one logit a label.
    Classifier {
        /// How many labels.
        labels: usize,
    },
    /// The logits of some tokens of the vocabulary behind the last token of a text.
    Answers {
        /// Their ids.
        tokens: Vec<u32>,
    },
    /// Logits of each token of the vocabulary (SPLADE).
    Vocabulary {
        /// Whether those of a text are the largest over its tokens; else each of its tokens has its own.
        largest: bool,
    },
    /// Layers on each token, which keeps a vector of its own.
    Tokens {
        /// In order.
        layers: Vec<LayerSource>,
    },
    /// Several of them behind one pass.
    Several(Vec<Self>),
}

impl HeadSource {
    fn layers(&self) -> Vec<&LayerSource> {
        match self {
            Self::Embedding { layers, .. } | Self::Tokens { layers } => layers.iter().collect(),
            Self::Several(heads) => heads.iter().flat_map(Self::layers).collect(),
            Self::Classifier { .. } | Self::Answers { .. } | Self::Vocabulary { .. } => Vec::new(),
        }
    }

    /// Each by itself.
    pub(crate) fn each(&self) -> &[Self] {
        match self {
            Self::Several(heads) => heads,
            one => std::slice::from_ref(one),
        }
    }
}

/// A layer of a head.
#[derive(Debug, Clone)]
pub enum LayerSource {
    /// Multiplies.
    Dense(DenseSource),
    /// Brings each row to mean 0 and variance 1, then stretches its columns.
    Norm(NormSource),
}

/// A dense layer's config and shape.
#[derive(Debug, Clone)]
pub struct DenseSource {
    /// Holds its weights, under `linear`.
    pub folder: PathBuf,
    /// A file of the folder that holds them under no name, instead.
    pub file: Option<&'static str>,
    /// Its config.json.
    pub config: Config,
    /// Columns in.
    pub inputs: usize,
    /// Columns out.
    pub outputs: usize,
    /// Whether there is a bias.
    pub bias: bool,
    /// Applied to the sum.
    pub activation: Option<Activation>,
}

/// A layer norm's config and shape.
#[derive(Debug, Clone)]
pub struct NormSource {
    /// Holds its weights, under `norm`.
    pub folder: PathBuf,
    /// Its config.json.
    pub config: Config,
    /// Columns.
    pub columns: usize,
}

impl LayerSource {
    /// Whether its weights are in other files than those of the transformer in `folder`.
    fn is_apart(&self, folder: &Path) -> bool {
        match self {
            Self::Dense(dense) => dense.file.is_some() || dense.folder != folder,
            Self::Norm(norm) => norm.folder != folder,
        }
    }

    /// It takes as many columns as the module before it makes.
    pub(crate) fn check(&self, width: usize) -> Result<(), Error> {
        let (config, field, columns) = match self {
            Self::Dense(dense) => (&dense.config, "in_features", dense.inputs),
            Self::Norm(norm) => (&norm.config, "dimension", norm.columns),
        };
        config.check(columns == width, || {
            format!("{field} is {columns}, the module before makes {width} columns")
        })
    }

    /// Its weights.
    pub(crate) fn open(&self) -> Result<Checkpoint, Error> {
        match self {
            Self::Dense(DenseSource { folder, file: Some(file), .. }) => {
                Checkpoint::of_file(folder.join(file))
            }
            Self::Dense(DenseSource { folder, .. }) | Self::Norm(NormSource { folder, .. }) => {
                Checkpoint::open(folder)
            }
        }
    }
}
