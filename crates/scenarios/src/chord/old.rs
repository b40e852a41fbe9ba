//! A node limited to the messages of py2p, which does with them what py2p does: it keeps what it
//! takes for its own, passes on the rest, and answers with nothing at first where it has to ask.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rs2p_base::{Layer, NodeId, RequestId, Stack, Time};
use rs2p_chord::{Position, Table, distance};
use rs2p_mesh::{Birth, Mesh, MeshEvent, Received};
use rs2p_wire::{Encoded, IdForm, Limits, SubFlag, Value};

/// The node.
#[derive(Debug)]
pub(super) struct Old {
    stack: Stack<Mesh, OldRead>,
    /// Peers that store.
    stores: BTreeSet<NodeId>,
    tables: BTreeMap<Place, Value>,
    /// Who waits for what this node has asked others.
    waiting: Vec<(Place, NodeId)>,
    reads: BTreeMap<RequestId, Read>,
}

/// A read has ended; without a value when no three tables agreed in time.
#[derive(Debug)]
pub(super) struct OldRead {
    pub(super) request: RequestId,
    pub(super) value: Option<Value>,
}

#[derive(Debug)]
struct Read {
    places: [Place; Table::ALL.len()],
    answers: [Option<Value>; Table::ALL.len()],
    until: Time,
}

/// A position in one of the tables.
type Place = (Table, Position);

/// How long a read may take.
const TIMEOUT: Duration = Duration::from_secs(10);
const MAJORITY: usize = 3;
/// Questions of others that may wait.
const MAX_WAITING: usize = 10_000;

impl Old {
    pub(super) fn new(birth: Birth) -> Self {
        let mut mesh = birth.mesh();
        mesh.set_greeting(vec![SubFlag::Handshake.into(), "0".into()]);
        Self {
            stack: Stack::new(mesh),
            stores: BTreeSet::new(),
            tables: BTreeMap::new(),
            waiting: Vec::new(),
            reads: BTreeMap::new(),
        }
    }

    /// Reads a key.
    pub(super) fn get(&mut self, now: Time, key: &[u8]) -> RequestId {
        let request = self.stack.below.request_id();
        let places = Table::ALL.map(|table| (table, table.position(key)));
        let mut answers = [const { None }; Table::ALL.len()];
        for (place, answer) in places.iter().zip(&mut answers) {
            match self.nearer(*place) {
                Some(peer) => self.tell(now, peer, SubFlag::Retrieve, *place, None),
                None => *answer = self.tables.get(place).cloned(),
            }
        }
        self.reads.insert(request, Read { places, answers, until: now + TIMEOUT });
        self.end_decided();
        self.settle(now);
        request
    }

    /// The peer that a place belongs to, in this node's eyes; nobody when it is its own.
    fn nearer(&self, (_, position): Place) -> Option<NodeId> {
        let far = |id: NodeId| distance(id, position.point());
        let nearest = self.stores.iter().copied().min_by_key(|peer| far(*peer))?;
        (far(nearest) < far(self.stack.below.id())).then_some(nearest)
    }

    fn tell(
        &mut self,
        now: Time,
        peer: NodeId,
        flag: SubFlag,
        place: Place,
        value: Option<Option<&Value>>,
    ) {
        let Some(link) = self.stack.below.link_to(peer) else { return };
        let elements = 3 + usize::from(value.is_some());
        let writer = self.stack.below.begin_whisper(now, link, elements, 256);
        let Some(mut writer) = writer else { return };
        writer.unsigned(flag.into());
        writer.id(place.0.name(), IdForm::Bin);
        writer.id(&place.1.to_string(), IdForm::Bin);
        if let Some(value) = value {
            match value.and_then(|value| Encoded::new(value, &Limits::default()).ok()) {
                Some(value) => writer.encoded(&value),
                None => writer.nil(),
            }
        }
        // What is over a limit is not sent, as to a node that could not read it.
        let _ = self.stack.below.finish_whisper(now, link, writer);
    }

    fn on_meta(&mut self, now: Time, from: NodeId, packets: &[Value]) {
        let leeches = packets.first().and_then(rs2p_wire::text_bytes) == Some(b"1");
        if leeches {
            self.stores.remove(&from);
        } else if self.stores.insert(from) {
            let entries = self.tables.iter();
            let nearer = entries.filter(|(place, _)| self.nearer(**place) == Some(from));
            let nearer: Vec<(Place, Value)> =
                nearer.map(|(place, value)| (*place, value.clone())).collect();
            for (place, value) in nearer {
                self.tell(now, from, SubFlag::Store, place, Some(Some(&value)));
            }
        }
    }

    fn on_store(&mut self, now: Time, place: Place, value: &Value) {
        let value = Some(value).filter(|value| **value != Value::Nil);
        match (self.nearer(place), value) {
            (Some(peer), _) => self.tell(now, peer, SubFlag::Store, place, Some(value)),
            (None, Some(value)) => drop(self.tables.insert(place, value.clone())),
            (None, None) => drop(self.tables.remove(&place)),
        }
    }

    fn on_retrieve(&mut self, now: Time, from: NodeId, place: Place) {
        let Some(peer) = self.nearer(place) else {
            let value = self.tables.get(&place).cloned();
            return self.tell(now, from, SubFlag::Retrieved, place, Some(value.as_ref()));
        };
        self.tell(now, from, SubFlag::Retrieved, place, Some(None));
        if self.waiting.len() < MAX_WAITING {
            self.waiting.push((place, from));
            self.tell(now, peer, SubFlag::Retrieve, place, None);
        }
    }

    fn on_retrieved(&mut self, now: Time, from: NodeId, place: Place, value: &Value) {
        // Two who ask each other for the same do not answer each other.
        let is_it = |(waits, asker): &mut (Place, NodeId)| *waits == place && *asker != from;
        let askers: Vec<(Place, NodeId)> = self.waiting.extract_if(.., is_it).collect();
        for (_, asker) in askers {
            self.tell(now, asker, SubFlag::Retrieved, place, Some(Some(value)));
        }
        for read in self.reads.values_mut().filter(|_| *value != Value::Nil) {
            for (asked, answer) in read.places.iter().zip(&mut read.answers) {
                if *asked == place {
                    *answer = Some(value.clone());
                }
            }
        }
        self.end_decided();
    }

    fn end_decided(&mut self) {
        let decided = self.reads.extract_if(.., |_, read| read.agreed().is_some());
        for (request, read) in decided.collect::<Vec<_>>() {
            self.stack.tell(OldRead { request, value: read.agreed().cloned() });
        }
    }

    fn on_unclaimed(&mut self, now: Time, received: &Received) {
        let (from, packets) = (received.neighbour(), received.packets());
        let place = || {
            let [table, number, ..] = &packets[..] else { return None };
            let table = Table::from_name(rs2p_wire::text_bytes(table)?)?;
            Some((table, Position::from_text(rs2p_wire::text_bytes(number)?).ok()?))
        };
        match (received.sub_flag(), place(), packets.get(2)) {
            (Some(SubFlag::Handshake), _, _) => self.on_meta(now, from, &packets),
            (Some(SubFlag::Store), Some(place), Some(value)) => self.on_store(now, place, value),
            (Some(SubFlag::Retrieve), Some(place), _) => self.on_retrieve(now, from, place),
            (Some(SubFlag::Retrieved), Some(place), Some(value)) => {
                self.on_retrieved(now, from, place, value);
            }
            _ => {}
        }
    }
}

impl Read {
    /// What three tables give.
    fn agreed(&self) -> Option<&Value> {
        let answers = self.answers.iter().flatten();
        let count = |value: &Value| answers.clone().filter(|other| *other == value).count();
        answers.clone().find(|value| count(value) >= MAJORITY)
    }
}

impl Layer for Old {
    rs2p_base::stack!(stack: Stack<Mesh, OldRead>);

    fn on_event(&mut self, now: Time, event: MeshEvent) {
        match event {
            MeshEvent::Unclaimed(received) => self.on_unclaimed(now, &received),
            MeshEvent::Disconnected { peer, .. } => {
                self.stores.remove(&peer);
                self.waiting.retain(|(_, asker)| *asker != peer);
            }
            _ => {}
        }
    }

    fn on_timeout(&mut self, now: Time) {
        let overdue = self.reads.extract_if(.., |_, read| read.until <= now);
        for (request, _) in overdue.collect::<Vec<_>>() {
            self.stack.tell(OldRead { request, value: None });
        }
    }

    fn next_timeout(&self) -> Option<Time> {
        self.reads.values().map(|read| read.until).min()
    }
}
