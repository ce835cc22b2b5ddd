//! One copy of everything a process has loaded.
//!
//! Two handles, two adapters of one base, or twenty worker threads that open the same files share each
//! tensor and each tokenizer: the store knows it by the file it came from and the form it was brought into.
//! It holds weak references only, so the last user frees the memory.

use std::any::Any;
use std::collections::HashMap;
use std::fs::Metadata;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

type Shared = dyn Any + Send + Sync;
/// A place for one thing; locked while the thing is made.
type Slot = Mutex<Option<Weak<Shared>>>;

/// Which file, without reading it. Hashing the bytes would cost more than loading them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FileId {
    place: Place,
    size: u64,
    modified: Option<std::time::SystemTime>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Place {
    #[cfg(unix)]
    Inode { device: u64, inode: u64, changed: (i64, i64) },
    #[cfg(not(unix))]
    Path(std::path::PathBuf),
}

impl FileId {
    /// The identity of an open file. On Unix: device, inode, size, time of modification and of change;
    /// elsewhere: path, size and time of modification.
    pub fn of(path: &Path, metadata: &Metadata) -> Self {
        Self { place: Place::of(path, metadata), size: metadata.len(), modified: metadata.modified().ok() }
    }
}

impl Place {
    #[cfg(unix)]
    fn of(_: &Path, metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        Self::Inode {
            device: metadata.dev(),
            inode: metadata.ino(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    #[cfg(not(unix))]
    fn of(path: &Path, _: &Metadata) -> Self {
        Self::Path(path.canonicalize().unwrap_or_else(|_| path.to_path_buf()))
    }
}

/// What a shared thing is known by: its files and its form.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    /// The files it was made from.
    pub files: Vec<FileId>,
    /// Names within them, number format, layout.
    pub form: String,
}

/// The things, by key.
#[derive(Default)]
pub struct Store {
    slots: Mutex<HashMap<Key, Arc<Slot>>>,
}

impl Store {
    /// The process's store.
    pub fn process() -> &'static Store {
        static STORE: OnceLock<Store> = OnceLock::new();
        STORE.get_or_init(Store::default)
    }

    /// The thing of that key: the living one, or a new one that `make` makes. Threads that ask for the same
    /// key at once wait for one of them to make it.
    ///
    /// # Errors
    /// Those of `make`; nothing is kept then.
    pub fn get_or_make<T: Send + Sync + 'static, E>(
        &self,
        key: Key,
        make: impl FnOnce() -> Result<T, E>,
    ) -> Result<Arc<T>, E> {
        let slot = self.slot(key);
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Ok(living)) = slot.as_ref().and_then(Weak::upgrade).map(Arc::downcast) {
            return Ok(living);
        }
        let made = Arc::new(make()?);
        let shared: Arc<Shared> = made.clone();
        *slot = Some(Arc::downgrade(&shared));
        Ok(made)
    }

    /// How many things are alive.
    pub fn living(&self) -> usize {
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.values().filter(|slot| is_alive(slot)).count()
    }

    fn slot(&self, key: Key) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= 64 && slots.len().is_power_of_two() {
            slots.retain(|_, slot| Arc::strong_count(slot) > 1 || is_alive(slot));
        }
        slots.entry(key).or_default().clone()
    }
}

fn is_alive(slot: &Slot) -> bool {
    match slot.try_lock() {
        Ok(slot) => slot.as_ref().is_some_and(|weak| weak.strong_count() > 0),
        Err(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(form: &str) -> Key {
        Key { files: Vec::new(), form: form.into() }
    }

    #[test]
    fn one_copy_while_somebody_uses_it_and_none_after() {
        let store = Store::default();
        let make = |value: i32| store.get_or_make::<i32, ()>(key("a"), || Ok(value));
        let (first, second) = (make(1).unwrap(), make(2).unwrap());
        assert!(Arc::ptr_eq(&first, &second) && *second == 1);
        assert_eq!(store.living(), 1);
        drop((first, second));
        assert_eq!(store.living(), 0);
        assert_eq!(*make(3).unwrap(), 3);
    }

    #[test]
    fn a_failed_attempt_leaves_nothing_behind() {
        let store = Store::default();
        assert_eq!(store.get_or_make::<i32, _>(key("a"), || Err("no")), Err("no"));
        assert_eq!(*store.get_or_make::<i32, ()>(key("a"), || Ok(7)).unwrap(), 7);
    }

    #[test]
    fn threads_that_ask_at_once_share() {
        let (store, made) = (Store::default(), std::sync::atomic::AtomicUsize::new(0));
        let ask = || {
            store.get_or_make::<_, ()>(key("a"), || {
                made.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                std::thread::sleep(std::time::Duration::from_millis(20));
                Ok(vec![0_u8; 8])
            })
        };
        let all: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap().unwrap()).collect()
        });
        assert!(all.iter().all(|one| Arc::ptr_eq(one, &all[0])));
        assert_eq!(made.into_inner(), 1);
    }

    #[test]
    fn dead_slots_do_not_pile_up() {
        let store = Store::default();
        for i in 0..10_000 {
            drop(store.get_or_make::<i32, ()>(key(&i.to_string()), || Ok(i)));
        }
        assert!(store.slots.lock().unwrap().len() <= 128);
    }
}
