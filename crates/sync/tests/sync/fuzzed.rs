//! Whatever comes from a user and from peers of every kind: what the node tells adds up to what it
//! holds, and nothing grows beyond its bounds.
//!
//! The fuzz target `sync` runs this body; so do the tests here, over the committed seeds and over
//! arbitrary input.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rs2p_sync::{SyncConfig, SyncEvent};
use rs2p_wire::{IdForm, MainFlag, SubFlag, Value};

use crate::bench::{Bench, COMPARE, Kind, LIST, RECORDS, WANT, id};

/// Small bounds, so that they are reached.
const KEYS: usize = 12;
const BYTES: usize = 400;
const TOMBSTONES: usize = 5;

/// Runs steps that are read from `input`, and panics when something does not add up.
pub(crate) fn sync(input: &[u8]) {
    let mut input = Input(input);
    let config = SyncConfig {
        leasing: input.byte() % 4 > 0,
        max_keys: KEYS,
        max_bytes: BYTES,
        max_value: 60,
        max_tombstones: TOMBSTONES,
        tombstone_age: Duration::from_secs(640),
        ..SyncConfig::default()
    };
    let mut bench = Bench::new(config);
    bench.sync.keep_changes();
    let peers = [Kind::Rs2p, Kind::Py2p, Kind::Js2p, Kind::Rs2p].map(|kind| bench.join(kind));
    // What the node has told, as a user would keep it.
    let mut told = BTreeMap::<Bytes, Arc<Value>>::new();
    let mut disk = BTreeMap::<Bytes, Vec<u8>>::new();
    while !input.0.is_empty() {
        let step = input.byte();
        let peer = peers[usize::from(input.byte() % 4)];
        let key = format!("{}", input.byte() % 20);
        let author = 1 + input.byte() % 4;
        let seconds = i64::from(input.byte()) - 120;
        match step % 16 {
            0 | 1 => drop(bench.call(|sync, now| sync.set(now, &key, author))),
            2 => drop(bench.call(|sync, now| sync.del(now, &key))),
            3 => {
                let pairs = [(author.into(), seconds.into())];
                drop(bench.call(|sync, now| sync.apply_delta(now, &key, &pairs)));
            }
            4 => drop(bench.call(sync_popitem)),
            5 => bench.set_by(peer, author, seconds, &key, input.value()),
            6 => {
                let form = if author > 2 { IdForm::Str } else { IdForm::Bin };
                bench.hand_over(peer, (author, form), seconds, &key, input.value());
            }
            7 | 8 => {
                let store = [SubFlag::Store.into(), Value::Binary(key.into()), input.value()];
                let start = bench.time(seconds).saturating_sub(input.byte().into());
                let after = 1_000 * bench.time(-200) * u64::from(input.byte() % 2);
                let behind = [after, start, u64::from(input.byte() % 3), 3_600, 0];
                bench.write_by(peer, author, seconds, &store, behind);
            }
            9 => {
                let map = Value::Map(vec![(author.into(), input.value())]);
                let delta = [SubFlag::Delta.into(), Value::Binary(key.into()), map];
                bench.say(peer, MainFlag::Broadcast, (id(author), IdForm::Bin), seconds, &delta);
            }
            10 => {
                let numbers = (0..input.byte() % 16).map(|_| input.number().into()).collect();
                let lists = u64::from(author == 1);
                let forgotten = bench.time(seconds - 500);
                let payload =
                    [COMPARE.into(), forgotten.into(), lists.into(), Value::Array(numbers)];
                bench.whisper(peer, &payload);
            }
            11 => {
                let (one, other) = (input.number(), input.number());
                let bytes = input.take(16 * usize::from(author)).to_vec();
                let (one, other) = (one.into(), other.into());
                bench.whisper(peer, &[LIST.into(), one, other, Value::Binary(bytes)]);
            }
            12 => bench.whisper(peer, &[WANT.into(), Value::Binary(input.take(16).to_vec())]),
            13 => {
                let owner = Value::Binary(id(author).to_string().into_bytes());
                let mut payload = vec![RECORDS.into(), Value::Array(vec![owner])];
                let time = bench.time(seconds);
                let start = time.saturating_sub(input.byte().into());
                let numbers = [0, u64::from(input.byte()), start, time, 0, 3_600];
                payload.extend([Value::Binary(key.into()), input.value()]);
                payload.extend(numbers.map(Value::from));
                bench.whisper(peer, &payload);
            }
            14 => bench.run_for(Duration::from_secs(u64::from(author) * u64::from(step))),
            _ => {
                let changes = bench.sync.take_changes();
                for (key, record) in changes.records {
                    match record {
                        Some(record) => disk.insert(key, record),
                        None => disk.remove(&key),
                    };
                }
                let mut again = Bench::new(SyncConfig::default());
                again.sync.restore(Some(&changes.memory), disk.clone()).unwrap();
                assert_eq!(again.sync.items(), bench.sync.items());
            }
        }
        for event in bench.events() {
            match event {
                SyncEvent::Update { key, value, .. } => drop(told.insert(key, value)),
                SyncEvent::Delete { key, .. } => assert!(told.remove(&key).is_some(), "{key:?}"),
                _ => {}
            }
        }
        check(&bench, &told);
    }
}

fn sync_popitem(
    sync: &mut rs2p_sync::Sync,
    now: rs2p_base::Time,
) -> Result<Option<(Bytes, Arc<Value>)>, rs2p_sync::WriteError> {
    sync.popitem(now)
}

fn check(bench: &Bench, told: &BTreeMap<Bytes, Arc<Value>>) {
    let items = bench.sync.items();
    assert!(items.iter().map(|(key, value)| (key, value)).eq(told), "{items:?} {told:?}");
    let status = bench.sync.status(bench.now);
    assert_eq!(status.keys, told.len());
    assert!(status.keys <= KEYS && status.tombstones <= TOMBSTONES);
    assert!(status.bytes <= BYTES + 2 * TOMBSTONES);
    let now = bench.now.as_secs();
    for (key, value) in told {
        let entry = bench.sync.entry(key).unwrap();
        assert_eq!(entry.value, *value);
        assert!(entry.meta.timestamp <= now + 60);
    }
}

/// Bytes that are taken from the front; there are zeros behind the end.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, left) = self.0.split_at(count.min(self.0.len()));
        self.0 = left;
        taken
    }

    fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }

    fn number(&mut self) -> u64 {
        // Ranges that begin and end at the edges are the interesting ones.
        match self.byte() {
            0 => 0,
            255 => u64::MAX,
            byte => u64::from(byte) << 56 | u64::from(self.byte()),
        }
    }

    fn value(&mut self) -> Value {
        let byte = self.byte();
        match byte % 4 {
            0 => Value::Nil,
            1 => byte.into(),
            2 => "x".repeat(byte.into()).into(),
            _ => Value::Map(vec![(byte.into(), Value::Nil)]),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_seeds_break_nothing() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds/sync");
        let mut count = 0;
        for entry in std::fs::read_dir(directory).unwrap() {
            sync(&std::fs::read(entry.unwrap().path()).unwrap());
            count += 1;
        }
        assert!(count > 0);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

        #[test]
        fn what_a_node_tells_adds_up_to_what_it_holds(input in vec(any::<u8>(), 0..800)) {
            sync(&input);
        }
    }
}
