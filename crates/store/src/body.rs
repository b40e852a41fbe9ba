//! The part of the file that the database has: all behind the first page.

use std::fs::File;
use std::io;
use std::ops::Bound;

use redb::backends::FileBackend;
use redb::{BackendError, DatabaseError, StorageBackend};

use crate::header::HEADER_BYTES;

/// The database's view of a file that is locked already, by the handle that it was made from. The
/// lock ends with the last handle, not with the database: a file that turns out to be damaged
/// stays locked until it is set aside.
#[derive(Debug)]
pub(crate) struct Body {
    file: FileBackend,
    #[cfg(test)]
    disk: std::sync::Arc<crate::body::faulty::Disk>,
}

impl Body {
    #[cfg(not(test))]
    pub(crate) fn new(file: File) -> Result<Self, DatabaseError> {
        Ok(Self { file: FileBackend::new(file)? })
    }

    #[cfg(test)]
    pub(crate) fn new(file: File) -> Result<Self, DatabaseError> {
        Ok(Self { file: FileBackend::new(file)?, disk: faulty::Disk::of_this_thread() })
    }
}

impl StorageBackend for Body {
    fn len(&self) -> Result<u64, io::Error> {
        Ok(self.file.len()?.saturating_sub(START))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        self.file.read(behind_the_header(offset)?, out)
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        self.file.set_len(behind_the_header(len)?)
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        #[cfg(test)]
        self.disk.before_sync();
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        #[cfg(test)]
        self.disk.before_write()?;
        self.file.write(behind_the_header(offset)?, data)
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        // The database asks for parts of the file first, and for all of it when told that parts
        // cannot be had.
        match (start, end) {
            (Bound::Unbounded | Bound::Included(0), Bound::Unbounded) => Ok(true),
            _ => Err(BackendError::Unsupported),
        }
    }

    fn unlock_range(&self, _start: Bound<u64>, _end: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }
}

fn behind_the_header(offset: u64) -> Result<u64, io::Error> {
    offset.checked_add(START).ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

const START: u64 = HEADER_BYTES as u64;

/// A disk that fails or stands still when a test says so.
#[cfg(test)]
pub(crate) mod faulty {
    use std::cell::RefCell;
    use std::io;
    use std::sync::{Arc, Condvar, Mutex};

    #[derive(Debug, Default)]
    pub(crate) struct Disk {
        state: Mutex<State>,
        changed: Condvar,
    }

    #[derive(Debug, Default)]
    struct State {
        full: bool,
        panics: bool,
        stands_still: bool,
        stood_still: u64,
    }

    thread_local! {
        static DISK: RefCell<Arc<Disk>> = RefCell::default();
    }

    impl Disk {
        /// The disk below each store that this thread opens.
        pub(crate) fn of_this_thread() -> Arc<Self> {
            DISK.with_borrow(Arc::clone)
        }

        /// From now on nothing can be written.
        pub(crate) fn fill(&self) {
            self.state.lock().unwrap().full = true;
        }

        /// From now on writing panics, as a bug in the database might.
        pub(crate) fn panic(&self) {
            self.state.lock().unwrap().panics = true;
        }

        /// From now on nothing gets onto the disk.
        pub(crate) fn stand_still(&self) {
            self.state.lock().unwrap().stands_still = true;
        }

        /// Waits until something wants to get onto a disk that stands still.
        pub(crate) fn until_someone_waits(&self) {
            let state = self.state.lock().unwrap();
            drop(self.changed.wait_while(state, |state| state.stood_still == 0).unwrap());
        }

        pub(crate) fn go_on(&self) {
            self.state.lock().unwrap().stands_still = false;
            self.changed.notify_all();
        }

        pub(super) fn before_write(&self) -> io::Result<()> {
            let state = self.state.lock().unwrap();
            let (full, panics) = (state.full, state.panics);
            drop(state);
            assert!(!panics, "a test says so");
            if full { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
        }

        pub(super) fn before_sync(&self) {
            let mut state = self.state.lock().unwrap();
            if state.stands_still {
                state.stood_still += 1;
                self.changed.notify_all();
                drop(self.changed.wait_while(state, |state| state.stands_still).unwrap());
            }
        }
    }
}
