//! The file of a node.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use rs2p_base::NodeId;
use rs2p_base::net::Node;

use crate::blocking;
use crate::changes::Changes;
use crate::error::StoreError;
use crate::follower::{FollowError, Follower};
use crate::persistent::Persistent;
use crate::store::Store;

/// A node's file, open, and what a former life left in it.
///
/// A layer gives the records and the memory back to its machine, starts the node, under the former
/// id if it has no reason for another one, and lets the file [follow](Self::follow) the node.
pub struct NodeFile {
    store: Arc<Store>,
    /// Keys and their records, in the order of the keys.
    pub records: Vec<(Bytes, Vec<u8>)>,
    /// What the machine remembered beside its records; `None` if it has never written anything.
    pub memory: Option<Vec<u8>>,
    /// The id that the node had.
    pub id: Option<NodeId>,
}

impl NodeFile {
    /// Opens the file, or makes it, and reads all of it: see [`Store::open`], which says what
    /// `kind` is. It names the layer, its form of records, and the network: in another one, what
    /// the node knows would be out of place.
    ///
    /// Cancel safe: nothing is lost, but the file stays in use until all has been read.
    ///
    /// # Errors
    ///
    /// As [`Store::open`]. A damaged file has been set aside then.
    pub async fn open(
        path: impl Into<PathBuf>,
        kind: impl Into<String>,
    ) -> Result<Self, StoreError> {
        let (path, kind) = (path.into(), kind.into());
        blocking::run(move || {
            let store = Store::open(path, &kind)?;
            let mut records = Vec::new();
            store.entries(|key, value| {
                records.push((Bytes::copy_from_slice(key), value.to_vec()));
            })?;
            let memory = store.meta(MEMORY)?;
            let id = store.meta(ID)?.and_then(|id| NodeId::from_text(&id).ok());
            Ok(Self { store: Arc::new(store), records, memory, id })
        })
        .await
    }

    /// Writes down the node's id, if it is another one than before, and from now on all that
    /// changes. The machine must have noted its changes from its first moment: what it noted before
    /// this call is written, too.
    ///
    /// If it is cancelled, the id may have been written, nothing else is, and the file is closed.
    ///
    /// # Errors
    ///
    /// The id cannot be written, or the node has stopped.
    pub async fn follow<M: Persistent>(
        self,
        node: &Node<M>,
        id: NodeId,
    ) -> Result<Follower<M>, FollowError> {
        if self.id != Some(id) {
            let mut changes = Changes::new();
            changes.set_meta(ID, id.to_string());
            blocking::write(&self.store, changes).await?;
        }
        Ok(Follower::start(node, self.store)?)
    }
}

impl fmt::Debug for NodeFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, records) = (self.store.path(), self.records.len());
        f.debug_struct("NodeFile")
            .field("path", &path)
            .field("records", &records)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// The name beside the entries under which a machine's memory lies.
pub(crate) const MEMORY: &str = "memory";
/// And the node's id, as text.
const ID: &str = "id";
