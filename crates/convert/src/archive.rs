//! The zip archive that `torch.save` writes since 1.6: `<name>/data.pkl`, and the bytes of each storage in `<name>/data/<key>`,
//! uncompressed (<https://github.com/pytorch/pytorch/blob/v2.9.0/caffe2/serialize/inline_container.h>).

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use zip::ZipArchive;
use zip::result::ZipError;

use crate::Error;

/// The longest program: 150 bytes a tensor are usual.
const LONGEST_PICKLE: u64 = 4 << 20;

/// An archive that is read.
pub(crate) struct Archive {
    path: PathBuf,
    size: u64,
    root: String,
    zip: ZipArchive<BufReader<File>>,
}

impl Archive {
    /// Opens an archive, whatever it is called inside.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let (mut file, about) = nn::files::open(path)?;
        let mut magic = [0; 4];
        let read = file.read(&mut magic).and_then(|_| file.seek(SeekFrom::Start(0)));
        read.map_err(|source| nn::Error::Read { path: path.into(), source })?;
        if &magic != b"PK\x03\x04" {
            let message =
                "is not the zip archive that torch.save writes since 1.6: save it again with a newer PyTorch";
            return Err(Error::unsupported(path, message));
        }
        let zip = ZipArchive::new(BufReader::new(file)).map_err(|error| fault(path, "", error))?;
        let names =
            zip.file_names_raw().filter_map(|name| std::str::from_utf8(name).ok()?.strip_suffix("data.pkl"));
        let roots: Vec<String> =
            names.filter(|root| root.is_empty() || root.ends_with('/')).map(String::from).collect();
        match <[String; 1]>::try_from(roots) {
            Ok([root]) => Ok(Self { path: path.into(), size: about.len(), root, zip }),
            Err(roots) => {
                let message =
                    format!("holds {} files data.pkl, expected one as torch.save writes it", roots.len());
                Err(Error::broken(path, message))
            }
        }
    }

    /// The file, for messages.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Its bytes.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// The program.
    pub(crate) fn pickle(&mut self) -> Result<Vec<u8>, Error> {
        if let Some(order) = self.small("byteorder", 16)?.filter(|order| order.trim_ascii() != b"little") {
            let message =
                format!("numbers are in the order {:?}; little is read", String::from_utf8_lossy(&order));
            return Err(Error::unsupported(&self.path, message));
        }
        match self.small("data.pkl", LONGEST_PICKLE)? {
            Some(pickle) => Ok(pickle),
            None => Err(Error::broken(&self.path, format!("data.pkl is longer than {LONGEST_PICKLE} bytes"))),
        }
    }

    /// A small file of the archive; `None` where there is none, or it is longer than `most`.
    fn small(&mut self, name: &str, most: u64) -> Result<Option<Vec<u8>>, Error> {
        let name = format!("{}{name}", self.root);
        let entry = match self.zip.by_name(&name) {
            Err(ZipError::FileNotFound) => return Ok(None),
            entry => entry.map_err(|error| fault(&self.path, &name, error))?,
        };
        let mut bytes = Vec::new();
        let read = entry.take(most + 1).read_to_end(&mut bytes);
        read.map_err(|error| Error::broken(&self.path, format!("{name}: {error}")))?;
        Ok(Some(bytes).filter(|bytes| bytes.len() as u64 <= most))
    }

    /// The bytes of a storage; it must have so many.
    pub(crate) fn storage(&mut self, key: &str, bytes: u64) -> Result<Storage<'_>, Error> {
        let name = format!("{}data/{key}", self.root);
        let path = &self.path;
        let entry = self.zip.by_name_seek(&name).map_err(|error| fault(path, &name, error))?;
        if entry.size() != bytes || bytes > self.size {
            let message = format!("{name} has {} bytes, its tensors say {bytes}", entry.size());
            return Err(Error::broken(path, message));
        }
        Ok(Storage { path, name, entry: Box::new(entry) })
    }
}

trait Bytes: Read + Seek {}
impl<T: Read + Seek> Bytes for T {}

/// The bytes of one storage.
pub(crate) struct Storage<'a> {
    path: &'a Path,
    name: String,
    entry: Box<dyn Bytes + 'a>,
}

impl Storage<'_> {
    /// Goes to a place.
    pub(crate) fn seek(&mut self, start: u64) -> Result<(), Error> {
        self.entry.seek(SeekFrom::Start(start)).map(|_| ()).map_err(|error| self.short(&error))
    }

    /// The next bytes.
    pub(crate) fn read(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        self.entry.read_exact(bytes).map_err(|error| self.short(&error))
    }

    fn short(&self, error: &std::io::Error) -> Error {
        Error::broken(self.path, format!("{} cannot be read ({error}): fetch it again", self.name))
    }
}

fn fault(path: &Path, name: &str, error: ZipError) -> Error {
    match error {
        ZipError::Io(source) if name.is_empty() => nn::Error::Read { path: path.into(), source }.into(),
        error => Error::broken(
            path,
            format!("{name}: not a whole zip archive of torch.save ({error}): fetch it again"),
        ),
    }
}
