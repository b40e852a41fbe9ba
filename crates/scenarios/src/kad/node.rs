//! A node of the Kademlia DHT with its disk, which begins as soon as it is told the time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use rs2p_base::{Input, Machine, Output, RequestId, Time};
use rs2p_bytestag::{Contents, ContentsError, Dht, DhtConfig, DhtEvent, Key, Record, ValueId};

/// A node under test.
pub struct Node {
    id: Key,
    disk: Disk,
    /// How it begins, until it has.
    birth: Option<(DhtConfig, u64)>,
    dht: Option<Dht>,
}

impl Node {
    /// A node that begins with what is on this disk.
    pub(super) fn new(id: Key, config: DhtConfig, seed: u64, disk: Disk) -> Self {
        Self { id, disk, birth: Some((config, seed)), dht: None }
    }

    pub(super) fn id(&self) -> Key {
        self.id
    }

    /// The DHT, once it has begun.
    pub(super) fn dht(&self) -> Option<&Dht> {
        self.dht.as_ref()
    }

    pub(super) fn dht_mut(&mut self) -> Option<&mut Dht> {
        self.dht.as_mut()
    }

    /// What it leaves when it goes down.
    pub(super) fn into_disk(self) -> Disk {
        self.disk
    }

    fn begin(&mut self, now: Time) {
        let Some((config, seed)) = self.birth.take() else { return };
        let dht = Dht::new(self.id, config, seed).with_contents(now, Box::new(self.disk.clone()));
        let mut dht = match dht {
            Ok(dht) => dht,
            Err(error) => unreachable!("memory can always be read: {error}"),
        };
        dht.start(now);
        self.dht = Some(dht);
    }
}

impl Machine for Node {
    type Event = DhtEvent;

    fn handle_input(&mut self, now: Time, input: Input) {
        self.begin(now);
        if let Some(dht) = &mut self.dht {
            dht.handle_input(now, input);
        }
    }

    fn handle_timeout(&mut self, now: Time) {
        self.begin(now);
        if let Some(dht) = &mut self.dht {
            dht.handle_timeout(now);
        }
    }

    fn poll_output(&mut self) -> Option<Output<DhtEvent>> {
        self.dht.as_mut()?.poll_output()
    }

    fn poll_timeout(&self) -> Option<Time> {
        match &self.dht {
            Some(dht) => dht.poll_timeout(),
            None => Some(Time::default()),
        }
    }

    fn completes(event: &DhtEvent) -> Option<RequestId> {
        Dht::completes(event)
    }
}

/// What a node keeps when it goes down: the values with what is noted of them.
#[derive(Clone, Default)]
pub(super) struct Disk(Arc<Mutex<Values>>);

type Values = BTreeMap<ValueId, (Record, Bytes)>;

impl Disk {
    fn with<R>(&self, act: impl FnOnce(&mut Values) -> R) -> R {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Contents for Disk {
    fn records(&self) -> Result<Vec<(ValueId, Record)>, ContentsError> {
        Ok(self.with(|values| values.iter().map(|(id, (record, _))| (*id, *record)).collect()))
    }

    fn read(&self, id: &ValueId) -> Result<Option<Bytes>, ContentsError> {
        Ok(self.with(|values| values.get(id).map(|(_, value)| value.clone())))
    }

    fn write(
        &mut self,
        id: &ValueId,
        record: &Record,
        value: Option<&Bytes>,
    ) -> Result<(), ContentsError> {
        self.with(|values| match (value, values.get_mut(id)) {
            (Some(value), _) => {
                values.insert(*id, (*record, value.clone()));
            }
            (None, Some((noted, _))) => *noted = *record,
            (None, None) => {}
        });
        Ok(())
    }

    fn remove(&mut self, id: &ValueId) {
        self.with(|values| values.remove(id));
    }
}
