//! A whole model on a device: the architecture, and the head behind it.

use backend::Batch;

use crate::adapter::Adapter;
use crate::uses::{Taken, Uses};
use crate::{
    Checkpoint, Config, Device, Error, Head, HeadSource, Loader, Model, Pass, Source, Store, Weights,
};

type ReadModel<D> = fn(&Config, Weights<'_, D>) -> Result<Box<dyn Model<D>>, Error>;
type ReadClassifier<D> = fn(&Config, Weights<'_, D>, usize) -> Result<Head<D>, Error>;
type ReadVocabulary<D> = fn(&Config, Weights<'_, D>) -> Result<Head<D>, Error>;

/// How architectures are read: those of a crate above this one.
pub struct Architectures<D: Device> {
    /// Reads the encoder that `config.json` names.
    pub model: ReadModel<D>,
    /// Reads its classification head for so many labels.
    pub classifier: ReadClassifier<D>,
    /// Reads its masked-language-model head, the largest logits over a text.
    pub vocabulary: ReadVocabulary<D>,
}

/// A model with its head, on its device.
pub struct Loaded<D: Device> {
    /// Where it computes.
    pub device: D,
    /// A hash over the bytes of every weight in use.
    pub hash: u64,
    model: Box<dyn Model<D>>,
    head: Head<D>,
}

impl<D: Device> Loaded<D> {
    /// Reads the weights, through the process's store.
    ///
    /// # Errors
    /// Files that are missing or broken, weights that do not fit their configs, what is not supported.
    pub fn open(source: &Source, device: D, architectures: &Architectures<D>) -> Result<Self, Error> {
        Ok(Self::observed(source, device, architectures)?.0)
    }

    /// As [`open`](Self::open), and how each tensor was taken.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn observed(
        source: &Source,
        device: D,
        architectures: &Architectures<D>,
    ) -> Result<(Self, Uses), Error> {
        let checkpoint = Checkpoint::open(&source.folder)?;
        let adapter = source.adapter.as_ref().map(|folder| Adapter::open(folder, &checkpoint)).transpose()?;
        let loader = Loader::new(&checkpoint, &device, Store::process()).with_adapter(adapter.as_ref());
        let model = (architectures.model)(&source.config, loader.weights())?;
        let (head, dense) = head(source, architectures, &loader, model.width())?;
        loader.check_used()?;
        let Taken { hash, mut uses } = loader.taken();
        uses.join(dense.uses);
        Ok((Self { device, hash: hash ^ dense.hash, model, head }, uses))
    }

    /// Whether each token keeps a vector of its own.
    pub fn per_token(&self) -> bool {
        self.head.pooling.is_none()
    }

    /// Width of the vectors.
    pub fn dims(&self) -> usize {
        self.head.dims(self.model.width())
    }

    /// Most tokens a text may have, where the weights set a limit.
    pub fn positions(&self) -> Option<usize> {
        self.model.positions()
    }

    /// Writes one vector a text, row-major `[batch.len(), dims]`; or one a token, `[batch.tokens(), dims]`.
    ///
    /// # Errors
    /// As [`backend::Backend::embed`].
    pub fn embed(&self, batch: &Batch, out: &mut [f32]) -> Result<(), backend::Error> {
        batch.check(self.positions())?;
        let mut pass = self.device.pass(batch);
        let hidden = self.model.forward(&mut pass)?;
        let vectors = self.head.forward(&mut pass, hidden)?;
        pass.read(&vectors, out)
    }
}

/// The head, and what was taken of its own files.
fn head<D: Device>(
    source: &Source,
    architectures: &Architectures<D>,
    loader: &Loader<'_, D>,
    width: usize,
) -> Result<(Head<D>, Taken), Error> {
    let (config, weights, device) = (&source.config, loader.weights(), loader.device());
    match &source.head {
        HeadSource::Embedding { pooling, dense } => Head::load(pooling.clone(), dense, width, device),
        HeadSource::Tokens { dense } => Head::of_tokens(dense, width, device),
        HeadSource::Classifier { labels } => {
            Ok(((architectures.classifier)(config, weights, *labels)?, Taken::default()))
        }
        HeadSource::Vocabulary => Ok(((architectures.vocabulary)(config, weights)?, Taken::default())),
        HeadSource::Answers { tokens } => {
            Ok((Head::answers(config, &weights, tokens, width)?, Taken::default()))
        }
    }
}
