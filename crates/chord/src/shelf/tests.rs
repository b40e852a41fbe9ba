//! The shelf against what one would expect of it.

use proptest::prelude::*;
use rs2p_wire::{Encoded, Limits};

use super::*;
use crate::position::{Position, Table};

fn point(number: u8) -> NodeId {
    let mut bytes = [0; NodeId::BYTES];
    bytes[0] = number;
    NodeId::from_bytes(bytes)
}

fn record(time: u64) -> Record {
    let value =
        (!time.is_multiple_of(3)).then(|| Encoded::new(&time.into(), &Limits::default()).unwrap());
    Record { version: Version { time, author: point(1) }, key: None, value }
}

fn shelf(points: &[(u8, bool)]) -> Shelf {
    let mut shelf = Shelf::default();
    for (at, (number, other)) in points.iter().enumerate() {
        let table = if *other { Table::Sha512 } else { Table::Sha224 };
        let spot = Spot::new(table, Position::of_parts(0, point(*number)));
        shelf.put(spot, record(at as u64));
    }
    shelf
}

proptest! {
    #[test]
    fn a_stretch_holds_what_lies_in_it_in_the_order_of_the_ring(
        points in prop::collection::vec((0u8..32, any::<bool>()), 0..40), from in 0u8..32, to in 0u8..32
    ) {
        let shelf = shelf(&points);
        let stretch = Stretch { from: point(from), to: point(to) };
        let mut expected: Vec<Spot> =
            shelf.records.keys().copied().filter(|spot| stretch.contains(spot.point())).collect();
        expected.sort_by_key(|spot| (crate::position::distance(stretch.from, spot.point()), *spot));
        let found: Vec<Spot> = shelf.iter(stretch).map(|(spot, ..)| spot).collect();
        prop_assert_eq!(&found, &expected);
        for (at, spot) in expected.iter().enumerate() {
            let behind: Vec<Spot> =
                shelf.iter_behind(stretch, Some(*spot)).map(|(spot, ..)| spot).collect();
            prop_assert_eq!(&behind[..], &expected[at + 1..]);
        }
        let parts = shelf.split(stretch, 4);
        let again: Vec<Spot> =
            parts.iter().flat_map(|part| shelf.iter(*part)).map(|(spot, ..)| spot).collect();
        prop_assert_eq!(again, expected);
        let whole = shelf.sum(stretch);
        let count: u64 = parts.iter().map(|part| shelf.sum(*part).count).sum();
        prop_assert_eq!(whole.count, count);
        prop_assert_eq!((parts[0].from, parts[parts.len() - 1].to), (stretch.from, stretch.to));
    }

    #[test]
    fn what_it_counts_is_what_it_holds(
        points in prop::collection::vec((0u8..8, any::<bool>()), 0..40), removed in 0u8..8
    ) {
        let mut shelf = shelf(&points);
        let spots: Vec<Spot> = shelf.records.keys().copied().collect();
        spots.into_iter().filter(|spot| spot.point() == point(removed)).for_each(|spot| shelf.remove(spot));
        let records = || shelf.records.values().map(|(record, _)| record);
        prop_assert_eq!(shelf.bytes(), records().map(Record::size).sum::<usize>());
        prop_assert_eq!(shelf.tombstones(), records().filter(|it| it.is_tombstone()).count());
    }
}

#[test]
fn sums_do_not_depend_on_the_order_in_which_records_came() {
    let one = shelf(&[(1, false), (2, true)]);
    let mut other = Shelf::default();
    for (spot, record, _) in one.iter(Stretch::whole(point(2))) {
        other.put(spot, record.clone());
    }
    let whole = Stretch::whole(point(0));
    assert_eq!(one.sum(whole), other.sum(whole));
    let spot = Spot::first_at(point(9));
    other.put(spot, record(9));
    assert_ne!(one.sum(whole), other.sum(whole));
}
