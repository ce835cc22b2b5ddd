//! Weights by the path a checkpoint names them with, shared through the [`Store`].

use std::sync::{Arc, Mutex, PoisonError};

use crate::adapter::{Adapter, Merged};
use crate::checkpoint::Values;
use crate::uses::{Taken, Use, Uses};
use crate::{Checkpoint, Device, Error, Key, Part, Store};

/// A thing in a device's layout, and a hash of the bytes it came from.
pub(crate) struct Stored<T> {
    pub(crate) value: T,
    hash: u64,
}

/// Rows looked up by index: token, position and segment embeddings.
pub struct Table<D: Device> {
    stored: Arc<Stored<D::Rows>>,
    /// How many rows.
    pub rows: usize,
}

impl<D: Device> Table<D> {
    /// The rows in the device's layout.
    pub fn values(&self) -> &D::Rows {
        &self.stored.value
    }
}

/// One load: a checkpoint on its way to a device.
pub struct Loader<'a, D: Device> {
    tensors: Merged<'a>,
    device: &'a D,
    store: &'a Store,
    hashes: Mutex<Vec<(String, u64)>>,
    uses: Mutex<Uses>,
}

impl<'a, D: Device> Loader<'a, D> {
    /// Begins a load.
    pub fn new(checkpoint: &'a Checkpoint, device: &'a D, store: &'a Store) -> Self {
        let tensors = Merged { base: checkpoint, adapter: None };
        Self { tensors, device, store, hashes: Mutex::default(), uses: Mutex::default() }
    }

    /// The same, with an adapter merged into what it reads.
    pub(crate) fn with_adapter(mut self, adapter: Option<&'a Adapter>) -> Self {
        self.tensors.adapter = adapter;
        self
    }

    /// The root of the names.
    pub fn weights(&'a self) -> Weights<'a, D> {
        Weights { loader: self, path: String::new(), parametrized: false }
    }

    /// Every tensor that an adapter brings has its place in the model.
    pub(crate) fn check_used(&self) -> Result<(), Error> {
        let taken = self.hashes.lock().unwrap_or_else(PoisonError::into_inner);
        let names = taken.iter().flat_map(|(names, _)| names.split('+').map(str::to_string));
        self.tensors.check_used(&names.collect())
    }

    /// What it loads for.
    pub(crate) fn device(&self) -> &'a D {
        self.device
    }

    /// All that was taken so far.
    pub(crate) fn taken(&self) -> Taken {
        let uses = self.uses.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Taken { hash: self.hash(), uses }
    }

    /// A hash over all tensors taken so far, whatever their order.
    fn hash(&self) -> u64 {
        let mut hashes = self.hashes.lock().unwrap_or_else(PoisonError::into_inner).clone();
        hashes.sort();
        hashes.dedup();
        let text: String = hashes.iter().map(|(names, hash)| format!("{names} {hash:016x}\n")).collect();
        twox_hash::XxHash3_64::oneshot(text.as_bytes())
    }
}

/// A place in a checkpoint's tree of names.
pub struct Weights<'a, D: Device> {
    loader: &'a Loader<'a, D>,
    path: String,
    parametrized: bool,
}

impl<D: Device> Clone for Weights<'_, D> {
    fn clone(&self) -> Self {
        Self { loader: self.loader, path: self.path.clone(), parametrized: self.parametrized }
    }
}

impl<'a, D: Device> Weights<'a, D> {
    /// The place `name` below this one.
    pub fn at(&self, name: impl std::fmt::Display) -> Self {
        Self { path: self.below_path(name), ..self.clone() }
    }

    /// The first of `prefixes` under which `probe` exists, else the place itself: checkpoints saved from a
    /// model with a head carry the base model's name in front.
    pub fn below(&self, prefixes: &[&str], probe: &str) -> Self {
        let found = prefixes.iter().map(|prefix| self.at(prefix)).find(|place| place.has(probe));
        found.unwrap_or_else(|| self.clone())
    }

    /// The same place, where a module's `weight` may be stored as it was before torch parametrised it
    /// (`torch.nn.utils.parametrize`). Only for models whose parametrisation leaves it as it is.
    pub fn before_parametrization(&self) -> Self {
        Self { parametrized: true, ..self.clone() }
    }

    /// Whether there is a tensor `name` here.
    pub fn has(&self, name: &str) -> bool {
        self.loader.tensors.has(&self.name(name))
    }

    /// A table `name` of `rows` rows.
    ///
    /// # Errors
    /// As [`Linear::load`](crate::Linear::load).
    pub fn table(&self, name: &str, rows: usize, columns: usize) -> Result<Table<D>, Error> {
        let tensors = [Tensor { name: self.name(name), shape: vec![rows, columns] }];
        let make = |device: &D, values| device.rows(rows, columns, values);
        Ok(Table { stored: self.loader.get("rows", Use::Table, &tensors, make)?, rows })
    }

    /// The values of a tensor `name`, row-major: for what is computed from them once, at load.
    ///
    /// # Errors
    /// As [`Linear::load`](crate::Linear::load).
    pub fn values(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, Error> {
        let name = self.name(name);
        self.loader.tensors.locate(&name, shape)?;
        let Values { values, hash } = self.loader.tensors.read(&name)?;
        self.loader.note(&name, Use::Exact);
        self.loader.used(name, hash);
        Ok(values)
    }

    /// What `make` computes on the device from this load's tensors, once for all loads of the same files. `form`
    /// names it and whatever else it depends on.
    ///
    /// # Errors
    /// A fault of the device.
    pub fn computed<T: Send + Sync + 'static>(
        &self,
        form: &str,
        make: impl FnOnce(&D) -> Result<T, backend::Error>,
    ) -> Result<Arc<T>, Error> {
        let Loader { tensors, device, store, .. } = self.loader;
        let key =
            Key { files: tensors.files(), form: format!("{} computed {}", device.layout(), self.name(form)) };
        store.get_or_make(key, || make(device).map_err(|source| self.loader.not_taken(&self.path, source)))
    }

    /// A tensor `weight` of `shape` as a matrix of `columns` inputs that `arrange` makes of it; `form` names how.
    pub(crate) fn arranged(
        &self,
        shape: &[usize],
        columns: usize,
        form: &str,
        arrange: impl FnOnce(Vec<f32>) -> Result<Vec<f32>, backend::Error>,
    ) -> Result<Arc<Stored<D::Matrix>>, Error> {
        let tensors = [Tensor { name: self.name("weight"), shape: shape.to_vec() }];
        let make = |device: &D, values: Vec<f32>| {
            let values = arrange(values)?;
            device.matrix(values.len() / columns.max(1), columns, values)
        };
        self.loader.get(form, Use::Matrix { inputs: columns }, &tensors, make)
    }

    /// The shape of a tensor `name`, for files whose config does not tell.
    ///
    /// # Errors
    /// There is no such tensor.
    pub fn shape(&self, name: &str) -> Result<&'a [usize], Error> {
        self.loader.tensors.base.shape(&self.name(name))
    }

    /// The values of a tensor `name` of reals or whole numbers, row-major. Rounded to f32, which holds whole
    /// numbers up to 2²⁴.
    ///
    /// # Errors
    /// As [`Linear::load`](crate::Linear::load).
    pub fn numbers(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, Error> {
        let (name, base) = (self.name(name), self.loader.tensors.base);
        base.locate(&name, shape)?;
        self.loader.note(&name, Use::Exact);
        base.numbers_of(&name)
    }

    /// A table of `shape`, rows by columns, that `make` computes of the tensors `names`.
    ///
    /// # Errors
    /// Those of `make`; a tensor that is missing; a table that the device does not take.
    pub fn computed_table(
        &self,
        names: &[&str],
        [rows, columns]: [usize; 2],
        make: impl FnOnce() -> Result<Vec<f32>, Error>,
    ) -> Result<Table<D>, Error> {
        let (loader, names) = (self.loader, names.iter().map(|name| self.name(name)).collect::<Vec<_>>());
        let base = loader.tensors.base;
        let located = names.iter().map(|name| base.locate(name, base.shape(name)?).cloned());
        let (files, names) = (located.collect::<Result<_, _>>()?, names.join("+"));
        let key = Key { files, form: format!("{} computed rows {names}", loader.device.layout()) };
        let stored = loader.store.get_or_make(key, || -> Result<_, Error> {
            let values = make()?;
            let hash = twox_hash::XxHash3_64::oneshot(bytemuck::cast_slice(&values));
            let value = loader.device.rows(rows, columns, values);
            Ok(Stored { value: value.map_err(|source| loader.not_taken(&names, source))?, hash })
        })?;
        loader.used(names, stored.hash);
        Ok(Table { stored, rows })
    }

    /// A vector `name` of `length` values.
    pub(crate) fn vector(&self, name: &str, length: usize) -> Result<Arc<Stored<D::Vector>>, Error> {
        let tensors = [Tensor { name: self.name(name), shape: vec![length] }];
        self.loader.get("vector", Use::Exact, &tensors, D::vector)
    }

    /// The weights of `parts`, their outputs one after the other.
    pub(crate) fn matrix(parts: &[Part<'a, D>], columns: usize) -> Result<Arc<Stored<D::Matrix>>, Error> {
        let tensors = tensors_of(parts, |part| ("weight", vec![part.outputs, columns]));
        let rows = parts.iter().map(|part| part.outputs).sum();
        let make = |device: &D, values| device.matrix(rows, columns, values);
        loader_of(parts).get("matrix", Use::Matrix { inputs: columns }, &tensors, make)
    }

    /// The biases of `parts`, one after the other.
    pub(crate) fn joined_vector(parts: &[Part<'a, D>]) -> Result<Arc<Stored<D::Vector>>, Error> {
        let tensors = tensors_of(parts, |part| ("bias", vec![part.outputs]));
        loader_of(parts).get("vector", Use::Exact, &tensors, D::vector)
    }

    /// The whole name of the tensor `name` here.
    fn name(&self, name: &str) -> String {
        let name = self.below_path(name);
        let original = name.strip_suffix(".weight").filter(|_| self.parametrized).map(original);
        original.filter(|original| self.loader.tensors.has(original)).unwrap_or(name)
    }

    fn below_path(&self, name: impl std::fmt::Display) -> String {
        if self.path.is_empty() { name.to_string() } else { format!("{}.{name}", self.path) }
    }
}

fn original(module: &str) -> String {
    format!("{module}.parametrizations.weight.original")
}

struct Tensor {
    name: String,
    shape: Vec<usize>,
}

fn tensors_of<D: Device>(
    parts: &[Part<'_, D>],
    describe: impl Fn(&Part<'_, D>) -> (&'static str, Vec<usize>),
) -> Vec<Tensor> {
    let tensor = |part| {
        let (name, shape) = describe(part);
        Tensor { name: part.weights.name(name), shape }
    };
    parts.iter().map(tensor).collect()
}

/// All parts of one weight come from one load.
fn loader_of<'a, D: Device>(parts: &[Part<'a, D>]) -> &'a Loader<'a, D> {
    parts[0].weights.loader
}

impl<D: Device> Loader<'_, D> {
    /// The tensors, laid end to end and brought into the device's layout: from the store or from the files.
    fn get<T: Send + Sync + 'static>(
        &self,
        form: &str,
        how: Use,
        tensors: &[Tensor],
        make: impl FnOnce(&D, Vec<f32>) -> Result<T, backend::Error>,
    ) -> Result<Arc<Stored<T>>, Error> {
        tensors.iter().for_each(|tensor| self.note(&tensor.name, how));
        let located = tensors.iter().map(|tensor| self.tensors.locate(&tensor.name, &tensor.shape));
        let files = located.collect::<Result<Vec<_>, _>>()?.concat();
        let names = tensors.iter().map(|tensor| tensor.name.as_str()).collect::<Vec<_>>().join("+");
        let key = Key { files, form: format!("{} {form} {names}", self.device.layout()) };
        let stored = self.store.get_or_make(key, || -> Result<_, Error> {
            let Values { values, hash } = self.read(tensors)?;
            let value = make(self.device, values).map_err(|source| self.not_taken(&names, source))?;
            Ok(Stored { value, hash })
        })?;
        self.used(names, stored.hash);
        Ok(stored)
    }

    fn note(&self, name: &str, how: Use) {
        let path = self.tensors.base.path();
        self.uses.lock().unwrap_or_else(PoisonError::into_inner).note(path, name, how);
    }

    fn used(&self, names: String, hash: u64) {
        self.hashes.lock().unwrap_or_else(PoisonError::into_inner).push((names, hash));
    }

    fn not_taken(&self, names: &str, source: backend::Error) -> Error {
        Error::Upload { path: self.tensors.base.path().into(), tensor: names.into(), source }
    }

    fn read(&self, tensors: &[Tensor]) -> Result<Values, Error> {
        let mut all = self.tensors.read(&tensors[0].name)?;
        for tensor in &tensors[1..] {
            let next = self.tensors.read(&tensor.name)?;
            all.values.extend_from_slice(&next.values);
            all.hash = all.hash.rotate_left(5) ^ next.hash;
        }
        Ok(all)
    }
}
