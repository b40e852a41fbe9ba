//! Who wrote a value.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use rs2p_base::NodeId;
use rs2p_wire::IdForm;

/// The author of a value, as its message named it: a node id as text, if the author is honest. It
/// is not proven: anyone can write any sender.
///
/// Two owners are the same when their texts are. They are ordered by their texts, as the rule for
/// ties wants it.
#[derive(Clone)]
pub struct Owner {
    text: Arc<[u8]>,
    form: IdForm,
}

impl Owner {
    /// The longest text that counts as an owner, in bytes. Those of the originals have 66.
    pub const MAX_LEN: usize = 128;

    /// An owner of this id.
    #[must_use]
    pub fn new(id: NodeId, form: IdForm) -> Self {
        Self { text: id.to_string().into_bytes().into(), form }
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// How its author wrote it. py2p takes the same text in two forms for two owners.
    #[must_use]
    pub fn form(&self) -> IdForm {
        self.form
    }

    /// The node's id, if it is one.
    #[must_use]
    pub fn node_id(&self) -> Option<NodeId> {
        NodeId::from_text(&self.text).ok()
    }
}

impl PartialEq for Owner {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.text, &other.text) || self.text == other.text
    }
}

impl Eq for Owner {}

impl PartialOrd for Owner {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Owner {
    fn cmp(&self, other: &Self) -> Ordering {
        if Arc::ptr_eq(&self.text, &other.text) {
            return Ordering::Equal;
        }
        self.text.cmp(&other.text)
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        String::from_utf8_lossy(&self.text).fmt(f)
    }
}

impl fmt::Debug for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Texts of owners that came lately: many values have the same owner, and share its text.
#[derive(Debug, Default)]
pub(crate) struct Owners(BTreeSet<Arc<[u8]>>);

impl Owners {
    /// Enough for the nodes of most networks. When there are more, all are forgotten: that costs
    /// memory, not sense.
    const KEPT: usize = 4_096;

    /// `None` when the text is too long.
    pub(crate) fn intern(&mut self, text: &[u8], form: IdForm) -> Option<Owner> {
        if text.len() > Owner::MAX_LEN {
            return None;
        }
        if let Some(text) = self.0.get(text) {
            return Some(Owner { text: text.clone(), form });
        }
        if self.0.len() == Self::KEPT {
            self.0.clear();
        }
        let text: Arc<[u8]> = text.into();
        self.0.insert(text.clone());
        Some(Owner { text, form })
    }
}
