//! The table against a map that is gone through from end to end.

use proptest::collection::vec;
use proptest::prelude::*;
use rs2p_base::NodeId;
use rs2p_wire::IdForm;

use super::*;
use crate::owner::Owner;
use crate::version::Version;

#[derive(Clone, Debug)]
enum Step {
    Insert { key: u8, value: Option<u8>, time: u64 },
    Remove { key: u8 },
    RemoveOldest,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..40_u8, proptest::option::weighted(0.7, 0..9_u8), 0..5_u64)
            .prop_map(|(key, value, time)| Step::Insert { key, value, time }),
        2 => (0..40_u8).prop_map(|key| Step::Remove { key }),
        1 => Just(Step::RemoveOldest),
    ]
}

fn record(key: &Bytes, value: Option<u8>, time: u64) -> Record {
    let owner = Owner::new(NodeId::from_bytes([1; NodeId::BYTES]), IdForm::Bin);
    let version = Version { after: 0, start: time, owner, time, seq: 0 };
    let stamp = Stamp { version, lease: 1, content: value.map(u64::from) };
    let size = key.len() + value.map_or(0, usize::from);
    Record { value: value.map(|value| Arc::new(value.into())), stamp: Box::new(stamp), size }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn sums_order_and_counts_are_those_of_a_map(
        steps in vec(step(), 1..120),
        ranges in vec((any::<u64>(), any::<u64>()), 1..8),
        behind in any::<u64>(),
    ) {
        let (mut table, mut model) = (Table::new(7), BTreeMap::<Bytes, Record>::new());
        for step in steps {
            match step {
                Step::Insert { key, value, time } => {
                    let key = Bytes::from(format!("key {key}"));
                    let record = record(&key, value, time);
                    table.insert(key.clone(), record.clone());
                    model.insert(key, record);
                }
                Step::Remove { key } => {
                    let key = Bytes::from(format!("key {key}"));
                    prop_assert_eq!(table.remove(&key).is_some(), model.remove(&key).is_some());
                }
                Step::RemoveOldest => {
                    let dead = model.iter().filter(|(_, record)| record.value.is_none());
                    let oldest = dead.map(|(key, it)| (it.stamp.version.time, key)).min();
                    prop_assert_eq!(table.oldest_tombstone(), oldest);
                    if let Some((_, key)) = oldest {
                        let key = key.clone();
                        table.remove(&key);
                        model.remove(&key);
                    }
                }
            }
        }
        let live = || model.iter().filter(|(_, record)| record.value.is_some());
        prop_assert_eq!(table.len(), live().count());
        prop_assert_eq!(table.tombstones(), model.len() - live().count());
        prop_assert_eq!(table.bytes(), model.values().map(|record| record.size).sum::<usize>());
        prop_assert_eq!(table.keys(), live().map(|(key, _)| key).collect::<Vec<_>>());
        let mut places: Vec<(u64, Bytes, u64)> = model
            .iter()
            .map(|(key, record)| {
                let place = place::place(key);
                (place, key.clone(), place::known(place, &record.stamp))
            })
            .collect();
        places.sort();
        prop_assert!(table.iter().map(|(key, _)| key).eq(places.iter().map(|(_, key, _)| key)));
        let around = places.iter().map(|(place, ..)| *place..=*place);
        let buckets = (0..256).map(bucket_range);
        let odd = ranges.iter().map(|(one, other)| *one.min(other)..=*one.max(other));
        let near = ranges.iter().map(|(one, _)| bucket_range(bucket(*one)).start() + 1..=*one);
        for range in odd.chain(near).chain(buckets).chain(around).chain([0..=u64::MAX]) {
            let within: Vec<_> = places.iter().filter(|(place, ..)| range.contains(place)).collect();
            let mut sum = Sum::default();
            within.iter().for_each(|(_, _, digest)| sum.add(*digest));
            prop_assert_eq!(table.sum(&range), sum, "{:?}", range);
            if range.is_empty() {
                continue;
            }
            let index = table.index(&range).map(|(place, key, digest)| (place, key.clone(), digest));
            prop_assert!(index.eq(within.iter().map(|it| (*it).clone())));
            let first = within.first().map(|(place, key, _)| (*place, key.clone()));
            prop_assert_eq!(table.next_in(&range, None), first.as_ref());
            let behind = (behind, Bytes::new());
            if range.contains(&behind.0) {
                let next = within.iter().find(|(place, ..)| *place >= behind.0);
                let next = next.map(|(place, key, _)| (*place, key.clone()));
                prop_assert_eq!(table.next_in(&range, Some(&behind)), next.as_ref());
            }
        }
    }
}

#[test]
fn the_next_key_lies_behind_the_last_one_and_within_the_range() {
    let mut table = Table::new(7);
    for number in 0..100_u8 {
        let key = Bytes::from(vec![number]);
        table.insert(key.clone(), record(&key, Some(1), 1));
    }
    let mut told = None;
    let mut count = 0;
    while let Some(next) = table.next_in(&(0..=u64::MAX >> 1), told.as_ref()).cloned() {
        assert!(told.is_none_or(|told| told < next) && next.0 <= u64::MAX >> 1);
        told = Some(next);
        count += 1;
    }
    assert_eq!(count, table.index(&(0..=u64::MAX >> 1)).count());
    assert!(count > 20 && count < 80);
}

#[test]
fn every_part_of_a_stamp_counts_for_its_digest_but_the_form_of_its_owner() {
    let key = Bytes::from_static(b"k");
    let stamp = *record(&key, Some(1), 5).stamp;
    let with = |change: fn(&mut Stamp)| {
        let mut changed = stamp.clone();
        change(&mut changed);
        place::known(7, &changed)
    };
    let digests = [
        place::known(7, &stamp),
        place::known(8, &stamp),
        with(|it| it.version.after = 1),
        with(|it| it.version.start = 1),
        with(|it| it.version.time = 1),
        with(|it| it.version.seq = 1),
        with(|it| it.lease = 2),
        with(|it| it.content = Some(2)),
        with(|it| it.content = Some(0)),
        with(|it| it.content = None),
        with(|it| {
            it.version.owner = Owner::new(NodeId::from_bytes([2; NodeId::BYTES]), IdForm::Bin);
        }),
    ];
    assert_eq!(BTreeSet::from(digests).len(), digests.len());
    let other_form = with(|it| {
        it.version.owner = Owner::new(NodeId::from_bytes([1; NodeId::BYTES]), IdForm::Str);
    });
    assert_eq!(other_form, digests[0]);
}
