//! A whole model on a device: the architecture, and the head behind it.

use backend::{Batch, Form};

use crate::adapter::Adapter;
use crate::uses::{Taken, Uses};
use crate::{Checkpoint, Config, Device, Error, Head, HeadSource, Loader, Model, Source, Store, Weights};

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
    heads: Vec<Head<D>>,
    forms: Vec<Form>,
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
        let (mut heads, mut head_hash, mut head_uses) = (Vec::new(), 0_u64, Uses::default());
        for wanted in source.head.each() {
            let (head, taken) = head(wanted, &source.config, architectures, &loader, model.width())?;
            head_hash = head_hash.rotate_left(11) ^ taken.hash;
            head_uses.join(taken.uses);
            heads.push(head);
        }
        loader.check_used()?;
        let Taken { hash, mut uses } = loader.taken();
        uses.join(head_uses);
        let forms = heads.iter().map(|head| head.form(model.width())).collect();
        Ok((Self { device, hash: hash ^ head_hash, model, heads, forms }, uses))
    }

    /// What its heads make, in their order.
    pub fn forms(&self) -> &[Form] {
        &self.forms
    }

    /// Most tokens a text may have, where the weights set a limit.
    pub fn positions(&self) -> Option<usize> {
        self.model.positions()
    }

    /// Writes what each head makes, one after the other, of one run of the encoder.
    ///
    /// # Errors
    /// As [`backend::Backend::embed`].
    pub fn embed(&self, batch: &Batch, out: &mut [f32]) -> Result<(), backend::Error> {
        batch.check(self.positions())?;
        let mut pass = self.device.pass(batch);
        let hidden = self.model.forward(&mut pass)?;
        let mut out = out;
        for (head, form) in self.heads.iter().zip(&self.forms) {
            let length = form.length(batch.len(), batch.tokens()).min(out.len());
            let (own, rest) = std::mem::take(&mut out).split_at_mut(length);
            head.write(&mut pass, &hidden, own)?;
            out = rest;
        }
        Ok(())
    }
}

/// A head, and what was taken of its own files.
fn head<D: Device>(
    head: &HeadSource,
    config: &Config,
    architectures: &Architectures<D>,
    loader: &Loader<'_, D>,
    width: usize,
) -> Result<(Head<D>, Taken), Error> {
    let (weights, device) = (loader.weights(), loader.device());
    let own = |head| Ok((head, Taken::default()));
    match head {
        HeadSource::Embedding { pooling, layers } => Head::load(pooling.clone(), layers, width, device),
        HeadSource::Tokens { layers } => Head::of_tokens(layers, width, device),
        HeadSource::Classifier { labels } => own((architectures.classifier)(config, weights, *labels)?),
        HeadSource::Vocabulary { largest } => {
            let mut head = (architectures.vocabulary)(config, weights)?;
            head.pooling = head.pooling.filter(|_| *largest);
            own(head)
        }
        HeadSource::Answers { tokens } => own(Head::answers(config, &weights, tokens, width)?),
        HeadSource::Several(_) => Err(config.unsupported("heads within heads are not supported")),
    }
}
