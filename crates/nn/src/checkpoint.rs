//! Weights on disk: one safetensors file, or several and an index.
//!
//! The format: <https://huggingface.co/docs/safetensors>. Headers are checked by the `safetensors` crate
//! (offsets contiguous, sizes equal to shape times type); tensors are read one by one and the files close
//! with the checkpoint, so nothing of a file stays in use after a load.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};
use serde::Deserialize;

use crate::{Config, Error, FileId, files, whole};

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// The tensors of a model folder, by name.
pub struct Checkpoint {
    shards: Vec<Shard>,
    tensors: HashMap<String, (usize, TensorInfo)>,
}

/// A tensor as read: real numbers, and a hash of the bytes they came from.
pub(crate) struct Values {
    pub(crate) values: Vec<f32>,
    pub(crate) hash: u64,
}

struct Shard {
    path: PathBuf,
    id: FileId,
    file: Mutex<File>,
    data_start: u64,
    /// Its whole numbers are those of [`whole`].
    marked: bool,
}

#[derive(Deserialize)]
struct ShardIndex {
    weight_map: BTreeMap<String, String>,
}

impl Checkpoint {
    /// Opens the weights of a folder and checks their headers.
    ///
    /// # Errors
    /// No safetensors file, a shard that is missing or outside the folder, a header that lies.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        Self::of_files(shard_paths(folder)?)
    }

    /// Opens one file.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn of_file(path: PathBuf) -> Result<Self, Error> {
        Self::of_files(vec![path])
    }

    fn of_files(paths: Vec<PathBuf>) -> Result<Self, Error> {
        let mut checkpoint = Self { shards: Vec::new(), tensors: HashMap::new() };
        paths.into_iter().try_for_each(|path| checkpoint.add(path))?;
        Ok(checkpoint)
    }

    /// Whether `convert` wrote weights of it as whole numbers.
    pub fn is_whole(&self) -> bool {
        self.shards.iter().any(|shard| shard.marked)
    }

    /// The names of all tensors.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// How many numbers all tensors hold.
    pub(crate) fn numbers(&self) -> u64 {
        let count = |info: &TensorInfo| {
            info.shape.iter().fold(1_u64, |product, &size| product.saturating_mul(size as u64))
        };
        self.tensors.values().fold(0, |sum, (_, info)| sum.saturating_add(count(info)))
    }

    /// Its files.
    pub(crate) fn files(&self) -> impl Iterator<Item = &FileId> {
        self.shards.iter().map(|shard| &shard.id)
    }

    /// Whether there is a tensor of that name.
    pub fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// The file to name in faults about tensors that are nowhere.
    pub fn path(&self) -> &Path {
        self.shards.first().map_or(Path::new(SINGLE), |shard| &shard.path)
    }

    /// Which file holds the tensor, after checking its shape.
    pub(crate) fn locate(&self, name: &str, expected: &[usize]) -> Result<&FileId, Error> {
        let (shard, info) = self.find(name)?;
        if info.shape == expected {
            return Ok(&shard.id);
        }
        let path = shard.path.clone();
        Err(Error::Shape { path, tensor: name.into(), expected: expected.into(), found: info.shape.clone() })
    }

    /// How a tensor is stored: its type and shape.
    ///
    /// # Errors
    /// There is no such tensor.
    pub fn stored(&self, name: &str) -> Result<(Dtype, &[usize]), Error> {
        let (_, info) = self.find(name)?;
        Ok((info.dtype, &info.shape))
    }

    /// The bytes of a tensor, as they lie in the file.
    ///
    /// # Errors
    /// There is no such tensor, or its file cannot be read.
    pub fn bytes(&self, name: &str) -> Result<Vec<u8>, Error> {
        let (shard, info) = self.find(name)?;
        shard.read(name, info)
    }

    /// The real numbers of a tensor.
    ///
    /// # Errors
    /// There is no such tensor, it holds no real numbers, or its file cannot be read.
    pub fn values(&self, name: &str) -> Result<Vec<f32>, Error> {
        Ok(self.read(name)?.values)
    }

    /// Reads a tensor as f32.
    pub(crate) fn read(&self, name: &str) -> Result<Values, Error> {
        let (shard, info) = self.find(name)?;
        match info.dtype {
            Dtype::I8 if shard.marked => self.read_whole(name),
            Dtype::F32 => shard.read_f32(name, info),
            Dtype::F16 => shard.read_halves(name, info, |half| half::f16::from_bits(half).to_f32()),
            Dtype::BF16 => shard.read_halves(name, info, |half| half::bf16::from_bits(half).to_f32()),
            other => Err(Error::Unsupported {
                path: shard.path.clone(),
                message: format!(
                    "tensor \"{name}\" is stored as {other:?}; weights must be F32, F16 or BF16"
                ),
            }),
        }
    }

    /// Whole numbers and their scales.
    fn read_whole(&self, name: &str) -> Result<Values, Error> {
        let (shard, info) = self.find(name)?;
        let (other, scales) = self.find(&whole::scales_of(name))?;
        let rows = info.shape.first().copied().unwrap_or(1);
        if scales.dtype != Dtype::F32 || scales.shape != [rows] {
            let (found, path) = (&scales.shape, other.path.clone());
            let message =
                format!("the scales of \"{name}\" are {:?} {found:?}, expected F32 [{rows}]", scales.dtype);
            return Err(Error::Broken { path, message });
        }
        let numbers: Vec<u8> = shard.read(name, info)?;
        let Values { values: scales, hash } = other.read_f32(name, scales)?;
        whole::check(&numbers, &scales).map_err(|message| Error::Broken {
            path: other.path.clone(),
            message: format!("\"{}\": {message}", whole::scales_of(name)),
        })?;
        let hash = twox_hash::XxHash3_64::oneshot(&numbers) ^ hash.rotate_left(1);
        Ok(Values { values: whole::widened(&numbers, &scales), hash })
    }

    /// The shape of a tensor.
    pub(crate) fn shape(&self, name: &str) -> Result<&[usize], Error> {
        Ok(&self.find(name)?.1.shape)
    }

    /// The shape of a tensor, for files whose config does not tell.
    ///
    /// # Errors
    /// There is no such tensor.
    pub fn shape_of(&self, name: &str) -> Result<Vec<usize>, Error> {
        Ok(self.shape(name)?.to_vec())
    }

    /// Reads a tensor of reals or whole numbers as f32. For files that are known to hold them: a whole number
    /// in place of a real one is a packed weight, which `read` refuses.
    ///
    /// # Errors
    /// A tensor that is missing, or of another kind.
    pub fn numbers_of(&self, name: &str) -> Result<Vec<f32>, Error> {
        let (shard, info) = self.find(name)?;
        Ok(match info.dtype {
            Dtype::F64 => narrowed(shard.read(name, info)?, |bits| f64::from_bits(u64::from_le(bits)) as f32),
            Dtype::I64 => narrowed(shard.read(name, info)?, |bits| u64::from_le(bits) as i64 as f32),
            Dtype::I32 => narrowed(shard.read(name, info)?, |bits: u32| u32::from_le(bits) as i32 as f32),
            Dtype::I8 => narrowed(shard.read(name, info)?, |bits: u8| f32::from(bits as i8)),
            _ => self.read(name)?.values,
        })
    }

    /// The fault of a tensor that is not there.
    pub(crate) fn missing(&self, name: &str) -> Error {
        Error::Missing { path: self.path().into(), tensor: name.into() }
    }

    fn find(&self, name: &str) -> Result<(&Shard, &TensorInfo), Error> {
        match self.tensors.get(name) {
            Some((shard, info)) => Ok((&self.shards[*shard], info)),
            None => Err(self.missing(name)),
        }
    }

    fn add(&mut self, path: PathBuf) -> Result<(), Error> {
        let (shard, metadata) = Shard::open(path)?;
        let place = self.shards.len();
        for (name, info) in metadata.tensors() {
            match today(&name) {
                Some(renamed) => drop(self.tensors.entry(renamed).or_insert((place, info.clone()))),
                None => drop(self.tensors.insert(name, (place, info.clone()))),
            }
        }
        self.shards.push(shard);
        Ok(())
    }
}

/// Today's name of a tensor that bears TensorFlow's: the reference renames it, too
/// (<https://github.com/huggingface/transformers/blob/v4.57.0/src/transformers/modeling_utils.py>,
/// `_fix_state_dict_key_on_load`). Where a file has both, today's name holds.
fn today(name: &str) -> Option<String> {
    let of = |old, new| name.strip_suffix(old).map(|place| format!("{place}{new}"));
    of("LayerNorm.gamma", "LayerNorm.weight").or_else(|| of("LayerNorm.beta", "LayerNorm.bias"))
}

impl Shard {
    fn open(path: PathBuf) -> Result<(Self, Metadata), Error> {
        let (mut file, about) = files::open(&path)?;
        let metadata = read_header(&mut file, about.len(), &path)?;
        let data_start = about.len() - metadata.data_len() as u64;
        let id = FileId::of(&path, &about);
        let marked = whole::is_marked(metadata.metadata().as_ref())
            .map_err(|message| Error::Unsupported { path: path.clone(), message })?;
        Ok((Self { path, id, file: Mutex::new(file), data_start, marked }, metadata))
    }

    fn read_f32(&self, name: &str, info: &TensorInfo) -> Result<Values, Error> {
        let mut values: Vec<f32> = self.read(name, info)?;
        let hash = twox_hash::XxHash3_64::oneshot(bytemuck::cast_slice(&values));
        values.iter_mut().for_each(|value| *value = f32::from_bits(u32::from_le(value.to_bits())));
        Ok(Values { values, hash })
    }

    fn read_halves(&self, name: &str, info: &TensorInfo, widen: fn(u16) -> f32) -> Result<Values, Error> {
        let halves: Vec<u16> = self.read(name, info)?;
        let hash = twox_hash::XxHash3_64::oneshot(bytemuck::cast_slice(&halves));
        Ok(Values { values: halves.into_iter().map(|half| widen(u16::from_le(half))).collect(), hash })
    }

    /// The tensor's numbers as they lie in the file, little-endian.
    fn read<T: bytemuck::Pod>(&self, name: &str, info: &TensorInfo) -> Result<Vec<T>, Error> {
        let (start, end) = info.data_offsets;
        let (path, tensor) = (self.path.clone(), name.to_string());
        let mut numbers: Vec<T> = Vec::new();
        if numbers.try_reserve_exact((end - start) / size_of::<T>()).is_err() {
            return Err(Error::Memory { path, tensor, bytes: end - start });
        }
        numbers.resize((end - start) / size_of::<T>(), T::zeroed());
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let read = file
            .seek(SeekFrom::Start(self.data_start + start as u64))
            .and_then(|_| file.read_exact(bytemuck::cast_slice_mut(&mut numbers)));
        match read {
            Ok(()) => Ok(numbers),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                let message =
                    format!("ends inside tensor \"{tensor}\"; it changed while it was read: load again");
                Err(Error::Broken { path, message })
            }
            Err(source) => Err(Error::Read { path, source }),
        }
    }
}

fn narrowed<T>(numbers: Vec<T>, narrow: fn(T) -> f32) -> Vec<f32> {
    numbers.into_iter().map(narrow).collect()
}

/// The files that hold the weights.
fn shard_paths(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let (single, index) = (folder.join(SINGLE), folder.join(INDEX));
    if files::exists(&single)? {
        return Ok(vec![single]);
    }
    if !files::exists(&index)? {
        return Err(Error::NotFound { path: single, remedy: missing_weights_remedy(folder).into() });
    }
    let config = Config::open(&index)?;
    let listed: ShardIndex = config.read()?;
    let mut names: Vec<_> = listed.weight_map.into_values().collect();
    names.sort();
    names.dedup();
    names.iter().map(|name| shard_path(folder, name, &config)).collect()
}

fn shard_path(folder: &Path, name: &str, index: &Config) -> Result<PathBuf, Error> {
    let mut parts = Path::new(name).components();
    if !matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None)) {
        return Err(index.broken(format!("names the shard \"{name}\", which is not a file of this folder")));
    }
    let path = folder.join(name);
    if files::exists(&path)? {
        return Ok(path);
    }
    Err(Error::NotFound {
        path,
        remedy: "the index names it; the download is incomplete: fetch it again".into(),
    })
}

fn missing_weights_remedy(folder: &Path) -> &'static str {
    if folder.join("pytorch_model.bin").exists() {
        "only pytorch_model.bin is there, which can run code when Python opens it: `npx @x/embed-native convert <folder>` \
         makes model.safetensors of it and runs none"
    } else {
        "weights are read from model.safetensors, or from shards named in model.safetensors.index.json"
    }
}

/// The longest header, which the format's own reader sets too.
const LONGEST_HEADER: u64 = 100_000_000;

/// Reads and checks a header; allocates no more than the file is long.
fn read_header(file: &mut File, file_size: u64, path: &Path) -> Result<Metadata, Error> {
    let broken = |message: String| Error::Broken { path: path.into(), message };
    let fault = |source| Error::Read { path: path.into(), source };
    if file_size < 8 {
        return Err(broken(format!("{file_size} bytes are too few for a safetensors file: fetch it again")));
    }
    let mut length = [0; 8];
    file.read_exact(&mut length).map_err(fault)?;
    if &length == b"version " {
        let message = "is a Git LFS pointer, not the weights: run `git lfs pull` where it came from";
        return Err(broken(message.into()));
    }
    let length = u64::from_le_bytes(length);
    if length > file_size - 8 {
        return Err(broken(format!(
            "its header claims {length} bytes, the file has {}: not a safetensors file, or cut short",
            file_size - 8
        )));
    }
    if length > LONGEST_HEADER {
        return Err(broken(format!(
            "its header claims {length} bytes; the format allows {LONGEST_HEADER}: fetch it again"
        )));
    }
    let mut header = vec![0; length as usize];
    file.read_exact(&mut header).map_err(fault)?;
    let metadata: Metadata = serde_json::from_slice(&header)
        .map_err(|error| broken(format!("its safetensors header is not valid: {error}; fetch it again")))?;
    check_size(&metadata, file_size - 8 - length).map_err(broken)?;
    Ok(metadata)
}

fn check_size(metadata: &Metadata, present: u64) -> Result<(), String> {
    let promised = metadata.data_len() as u64;
    if promised == present {
        return Ok(());
    }
    let remedy = if promised > present { "the download broke off: fetch it again" } else { "fetch it again" };
    Err(format!("its header promises {promised} bytes of tensors, the file has {present}; {remedy}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_tensorflow_are_todays() {
        assert_eq!(
            today("bert.embeddings.LayerNorm.gamma").as_deref(),
            Some("bert.embeddings.LayerNorm.weight")
        );
        assert_eq!(today("LayerNorm.beta").as_deref(), Some("LayerNorm.bias"));
        for other in ["LayerNorm.weight", "layer_norm.gamma", "LayerNorm.gamma.weight", "beta"] {
            assert_eq!(today(other), None, "{other}");
        }
    }
}
