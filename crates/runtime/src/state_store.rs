//! Snapshots of stage state on disk: one file per partition, with the input sequence it stands at.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use schemas::subject::Namespace;
use schemas::{Partition, Timeframe};

const MAGIC: &[u8; 8] = b"TECHSNAP";
const VERSION: u32 = 1;
/// Magic, version, layout, sequence, length, checksum.
const HEADER_BYTES: usize = 8 + 4 + 8 + 8 + 8 + 4;

/// The folder where one service keeps its state. Only one process at a time may hold it.
#[derive(Debug)]
pub struct StateStore {
    folder: PathBuf,
    timeframe: Timeframe,
    /// Held for as long as the store lives; the system releases it when the process dies, however it dies.
    _lock: File,
}

/// A partition's state and the input sequence it stands at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredState {
    pub sequence: u64,
    pub bytes: Vec<u8>,
}

/// What went wrong with the state folder.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    #[error("another process holds the state folder `{}`", folder.display())]
    Held { folder: PathBuf },
    #[error("cannot {what} `{}`", path.display())]
    Io {
        what: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// Why a snapshot was not used. The service then takes the slower way: it replays its input from the start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotRefused {
    #[error("it is no snapshot")]
    NotASnapshot,
    #[error("it has version {found}, this build reads {VERSION}")]
    Version { found: u32 },
    #[error("it has layout {found:016x}, this build writes {expected:016x}")]
    Layout { found: u64, expected: u64 },
    #[error("its checksum does not match its content")]
    Checksum,
}

impl StateStore {
    /// # Errors
    /// When the folder cannot be made, or another process holds it.
    pub fn open(
        state_dir: &Path,
        namespace: &Namespace,
        service: &str,
        timeframe: Timeframe,
    ) -> Result<Self, StateError> {
        let folder = state_dir.join(namespace.to_string()).join(service);
        let io = |what, path: &Path| {
            let path = path.to_owned();
            move |source| StateError::Io { what, path, source }
        };
        fs::create_dir_all(&folder).map_err(io("create", &folder))?;
        let lock_path = folder.join("lock");
        let lock = File::create(&lock_path).map_err(io("create", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { folder, timeframe, _lock: lock }),
            Err(fs::TryLockError::WouldBlock) => Err(StateError::Held { folder }),
            Err(fs::TryLockError::Error(source)) => Err(io("lock", &lock_path)(source)),
        }
    }

    /// The stored state of a partition: `None` when there is none, the inner error when it does not fit.
    ///
    /// # Errors
    /// When the file is there but cannot be read.
    pub fn load(
        &self,
        partition: Partition,
        layout: u64,
    ) -> Result<Option<Result<StoredState, SnapshotRefused>>, StateError> {
        let path = self.path(partition);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(decode(&bytes, layout))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StateError::Io { what: "read", path, source }),
        }
    }

    /// Replaces a partition's state. After a crash at any moment the old or the new one is there, never a mixture.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, partition: Partition, layout: u64, sequence: u64, state: &[u8]) -> Result<(), StateError> {
        let path = self.path(partition);
        let temporary = path.with_extension("tmp");
        let write = || {
            let mut file = File::create(&temporary)?;
            file.write_all(&encode(layout, sequence, state))?;
            file.sync_data()?;
            fs::rename(&temporary, &path)
        };
        write().map_err(|source| StateError::Io { what: "write", path: path.clone(), source })
    }

    /// Where a partition's state lies.
    pub fn path(&self, partition: Partition) -> PathBuf {
        self.folder.join(format!("{}.{partition}", self.timeframe))
    }
}

pub(crate) fn encode(layout: u64, sequence: u64, state: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + state.len());
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&layout.to_le_bytes());
    bytes.extend_from_slice(&sequence.to_le_bytes());
    bytes.extend_from_slice(&(state.len() as u64).to_le_bytes());
    bytes.extend_from_slice(&checksum(sequence, state).to_le_bytes());
    bytes.extend_from_slice(state);
    bytes
}

pub(crate) fn decode(bytes: &[u8], expected: u64) -> Result<StoredState, SnapshotRefused> {
    let mut rest = bytes;
    let mut take = |n_bytes: usize| {
        let (head, tail) = rest.split_at_checked(n_bytes).ok_or(SnapshotRefused::NotASnapshot)?;
        rest = tail;
        Ok(head)
    };
    if take(MAGIC.len())? != MAGIC {
        return Err(SnapshotRefused::NotASnapshot);
    }
    let number = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("eight bytes were taken"));
    let small = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().expect("four bytes were taken"));
    let version = small(take(4)?);
    if version != VERSION {
        return Err(SnapshotRefused::Version { found: version });
    }
    let (layout, sequence, len) = (number(take(8)?), number(take(8)?), number(take(8)?));
    let expected_checksum = small(take(4)?);
    if layout != expected {
        return Err(SnapshotRefused::Layout { found: layout, expected });
    }
    if rest.len() as u64 != len || checksum(sequence, rest) != expected_checksum {
        return Err(SnapshotRefused::Checksum);
    }
    Ok(StoredState { sequence, bytes: rest.to_vec() })
}

fn checksum(sequence: u64, state: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&sequence.to_le_bytes());
    hasher.update(state);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(folder: &Path) -> StateStore {
        StateStore::open(folder, &Namespace::Live, "indicator", Timeframe::D1).unwrap()
    }

    #[test]
    fn what_was_saved_is_loaded_and_one_process_holds_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        let partition = Partition::new(7).unwrap();
        assert_eq!(store.load(partition, 5).unwrap(), None);
        store.save(partition, 5, 41, b"one").unwrap();
        store.save(partition, 5, 42, b"two").unwrap();
        assert_eq!(store.load(partition, 5).unwrap(), Some(Ok(StoredState { sequence: 42, bytes: b"two".to_vec() })));
        let second = StateStore::open(folder.path(), &Namespace::Live, "indicator", Timeframe::D1);
        assert!(matches!(second, Err(StateError::Held { .. })), "{second:?}");
    }

    #[test]
    fn whatever_does_not_fit_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        let partition = Partition::new(7).unwrap();
        let check = |change: fn(&mut Vec<u8>), layout: u64, expected: SnapshotRefused| {
            store.save(partition, 5, 42, b"state").unwrap();
            let mut bytes = fs::read(store.path(partition)).unwrap();
            change(&mut bytes);
            fs::write(store.path(partition), bytes).unwrap();
            assert_eq!(store.load(partition, layout).unwrap(), Some(Err(expected)));
        };
        check(|_| (), 6, SnapshotRefused::Layout { found: 5, expected: 6 });
        check(|bytes| bytes.truncate(20), 5, SnapshotRefused::NotASnapshot);
        check(Vec::clear, 5, SnapshotRefused::NotASnapshot);
        check(|bytes| bytes[0] = b'X', 5, SnapshotRefused::NotASnapshot);
        check(|bytes| bytes[8] = 9, 5, SnapshotRefused::Version { found: 9 });
        check(|bytes| *bytes.last_mut().unwrap() ^= 1, 5, SnapshotRefused::Checksum);
        check(|bytes| bytes[20] ^= 1, 5, SnapshotRefused::Checksum);
        check(|bytes| bytes.push(0), 5, SnapshotRefused::Checksum);
        check(|bytes| bytes.truncate(bytes.len() - 1), 5, SnapshotRefused::Checksum);
    }
}
