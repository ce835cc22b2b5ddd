//! A sparse model whose queries need no transformer: a router of sentence-transformers with a table of weights on the side of
//! queries, and SPLADE on that of documents (Geng et al. 2024, arXiv:2411.04403).
//!
//! Source: sentence-transformers 6.2, `base/modules/router.py`, `sparse_encoder/modules/sparse_static_embedding.py`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use nn::{Checkpoint, Config};
use serde::Deserialize;
use text::{Limit, Reading, Tokenizer};

use crate::Error;
use crate::load::{self, SharedTokenizer, TokenizerFiles, UNLIMITED};
use crate::request::CallSettings;
use crate::spec::ModuleEntry;
use crate::work::Piece;

/// The module's class, and the file of its routes.
pub(crate) const ROUTER: &str = "Router";
const ROUTES: &str = "router_config.json";
const TABLE: &str = ".SparseStaticEmbedding";

#[derive(Deserialize)]
struct Routes {
    types: BTreeMap<String, String>,
    structure: BTreeMap<String, Vec<String>>,
}

/// Where a router leads.
pub(crate) struct Route {
    /// The modules of documents, in order.
    pub(crate) documents: Vec<ModuleEntry>,
    /// The folder of the queries' table.
    pub(crate) queries: String,
}

impl Route {
    /// Of a router's own file.
    ///
    /// # Errors
    /// One that leads elsewhere than to SPLADE and a table.
    pub(crate) fn read(folder: &Path) -> Result<Self, Error> {
        let config = Config::open(&folder.join(ROUTES))?;
        let Routes { types, structure } = config.read()?;
        let class = |name: &String| types.get(name).cloned().unwrap_or_default();
        let names = |route: &str| structure.get(route).map(Vec::as_slice).unwrap_or_default();
        let queries = match names("query") {
            [table] if class(table).ends_with(TABLE) && structure.len() == 2 => table.clone(),
            _ => {
                let message = "supported is a router with the routes query, a SparseStaticEmbedding alone, and document";
                return Err(config.unsupported(message).into());
            }
        };
        let entry = |name: &String| ModuleEntry { path: name.clone(), class: class(name) };
        Ok(Self { documents: names("document").iter().map(entry).collect(), queries })
    }
}

/// A weight for each token of a vocabulary.
pub(crate) struct QueryTable {
    weights: Vec<f32>,
    tokenizer: Arc<SharedTokenizer>,
}

/// Told apart by what it holds.
impl fmt::Debug for QueryTable {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes: Vec<u8> = self.weights.iter().flat_map(|weight| weight.to_le_bytes()).collect();
        let hash = twox_hash::XxHash3_64::oneshot(&bytes);
        write!(out, "QueryTable {hash:016x} {:016x}", self.tokenizer.hash)
    }
}

impl QueryTable {
    /// Of its module's folder.
    ///
    /// # Errors
    /// Files that are missing or broken; a table of fewer rows than the tokenizer has tokens, or of what is no number.
    pub(crate) fn open(folder: &Path) -> Result<Self, Error> {
        let config = Config::open(&folder.join("config.json"))?;
        if let Some(path) = config.value()["path"].as_str() {
            let message =
                format!("its weights are in {path:?}; save the model again with sentence-transformers");
            return Err(config.unsupported(message).into());
        }
        let weights = Checkpoint::open(folder)?.numbers_of("weight")?;
        let tokenizer = load::tokenizer(&TokenizerFiles {
            tokenizer: folder,
            settings: folder,
            lowercase: false,
            reading: Reading::Bare,
            markers: &[],
        })?;
        let rows = weights.len() as u64;
        match tokenizer.tokenizer.highest_plain() {
            Some(highest) if u64::from(highest) >= rows => {
                let path = folder.join("tokenizer.json");
                Err(Error::Vocabulary { tokenizer: path, highest, config: config.path().into(), rows })
            }
            _ if weights.iter().any(|weight| !weight.is_finite()) => {
                Err(config.broken("its weights are not all finite numbers").into())
            }
            _ => Ok(Self { weights, tokenizer }),
        }
    }

    /// Reads queries.
    pub(crate) fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer.tokenizer
    }

    /// The weights of a text's own tokens, each once, that are not 0; by ascending token. One that was added behind the table
    /// weighs nothing.
    pub(crate) fn weigh(&self, ids: &[u32]) -> Piece {
        let mut ids = ids.to_vec();
        ids.sort_unstable();
        ids.dedup();
        let weight = |&id: &u32| self.weights.get(id as usize).copied().unwrap_or(0.0);
        let weights = ids.iter().map(|id| (*id, weight(id))).filter(|&(_, weight)| weight != 0.0);
        let (indices, values) = weights.unzip();
        Piece { indices, values }
    }

    /// The tokenizer's own, as the reference cuts.
    pub(crate) fn limit(&self, settings: &CallSettings) -> Limit {
        let own = self.tokenizer().model_max_length().unwrap_or(UNLIMITED);
        settings.limit(self.tokenizer(), own.min(UNLIMITED))
    }
}
