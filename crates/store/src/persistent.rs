//! A machine whose state outlives it.

use bytes::Bytes;
use rs2p_base::Machine;

/// A machine that tells what to write down, so that its next life begins where this one ended.
///
/// It notes which of its records have changed; a [`Follower`](crate::Follower) takes them all at
/// once from time to time. Its state is its records, each found by a key, and its memory: the few
/// bytes beside them that are small enough to be written each time.
///
/// ```
/// use std::collections::{BTreeMap, BTreeSet};
///
/// use bytes::Bytes;
/// use rs2p_base::{Input, Machine, Output, Time};
/// use rs2p_store::{Persistent, Unsaved};
///
/// #[derive(Default)]
/// struct Notes {
///     notes: BTreeMap<Bytes, String>,
///     changed: BTreeSet<Bytes>,
///     changes: u64,
/// }
///
/// impl Notes {
///     fn write(&mut self, key: Bytes, note: String) {
///         self.notes.insert(key.clone(), note);
///         self.changed.insert(key);
///         self.changes += 1;
///     }
/// }
///
/// impl Persistent for Notes {
///     fn change_count(&self) -> u64 {
///         self.changes
///     }
///
///     fn take_unsaved(&mut self) -> Unsaved {
///         let keys = std::mem::take(&mut self.changed).into_iter();
///         let records = keys.map(|key| {
///             let note = self.notes.get(&key).map(|note| note.clone().into_bytes());
///             (key, note)
///         });
///         Unsaved { records: records.collect(), memory: Vec::new(), count: self.changes }
///     }
///
///     fn is_change(_event: &Self::Event) -> bool {
///         false // it has no events: a change waits until somebody waits for it, or ten seconds
///     }
/// }
/// # impl Machine for Notes {
/// #     type Event = ();
/// #     fn handle_input(&mut self, _now: Time, _input: Input) {}
/// #     fn handle_timeout(&mut self, _now: Time) {}
/// #     fn poll_output(&mut self) -> Option<Output<()>> { None }
/// #     fn poll_timeout(&self) -> Option<Time> { None }
/// # }
/// ```
pub trait Persistent: Machine<Event: Clone + Send + 'static> + Send + 'static {
    /// How many changes there have been in this life. It never falls, and each change of a record
    /// or of what counts in the memory raises it. A change is among those that
    /// [`take_unsaved`](Self::take_unsaved) gives when their count has reached what this said just
    /// after the change.
    fn change_count(&self) -> u64;

    /// What has changed since it was last asked for. Called with the machine locked, and what it
    /// gives is not asked for again.
    #[must_use]
    fn take_unsaved(&mut self) -> Unsaved;

    /// Whether this event tells of a change. Such changes are written at once; others, of which
    /// nobody is told, within ten seconds. Called with the machine locked.
    fn is_change(event: &Self::Event) -> bool;
}

/// Changes of a machine that are to be written down together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unsaved {
    /// Keys, each once, and their records; `None` for those of which nothing is known any more.
    pub records: Vec<(Bytes, Option<Vec<u8>>)>,
    /// What is remembered beside the records, all of it.
    pub memory: Vec<u8>,
    /// [`Persistent::change_count`] by the time that they were taken.
    pub count: u64,
}
