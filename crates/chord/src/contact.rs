//! Nodes, and where to dial them.

use rs2p_base::{Endpoint, NodeId};
use rs2p_wire::{Element, MessageWriter};

/// A node of the ring, and where it can be dialled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    /// Who.
    pub id: NodeId,
    /// Where.
    pub address: Endpoint,
}

impl Contact {
    pub(crate) fn write(&self, writer: &mut MessageWriter) {
        writer.array(2, |writer| {
            writer.binary(&self.id.to_bytes());
            self.address.write(writer);
        });
    }

    pub(crate) fn read(element: &Element<'_>) -> Option<Self> {
        let [id, address] = element.as_array_of()?;
        Some(Self { id: read_id(&id)?, address: Endpoint::from_element(&address)? })
    }
}

/// Writes contacts as one array.
pub(crate) fn write_all(contacts: &[Contact], writer: &mut MessageWriter) {
    writer.array(contacts.len(), |writer| {
        contacts.iter().for_each(|contact| contact.write(writer));
    });
}

/// Reads up to `most` contacts off an array.
pub(crate) fn read_all(element: &Element<'_>, most: usize) -> Option<Vec<Contact>> {
    element.as_array()?.take(most).map(|contact| Contact::read(&contact)).collect()
}

/// An id as 48 bytes, as rs2p nodes write it among themselves.
pub(crate) fn read_id(element: &Element<'_>) -> Option<NodeId> {
    let bytes = element.text_bytes()?.try_into().ok()?;
    Some(NodeId::from_bytes(bytes))
}
