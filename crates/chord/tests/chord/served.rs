//! What a member answers.

use rs2p_chord::ChordConfig;
use rs2p_wire::Value;

use crate::bench::{Bench, Kind, RING, binary, id, question};

/// The owner has just come, and the one before it still has what belongs to it.
#[test]
fn who_lists_keys_in_the_place_of_its_successor_says_where_that_ones_end() {
    let (mut bench, next) = Bench::in_ring(ChordConfig::default(), 120);
    let asker = bench.join_as(id(50), Kind::Rs2p);
    let contact = |number: u8| {
        let address = Value::Array(vec![format!("10.0.0.{number}").into(), 4_000.into()]);
        Value::Array(vec![binary(id(number)), address])
    };
    let successors = Value::Array(vec![contact(200), contact(50)]);
    bench.whisper(next, &[RING.into(), 3.into(), contact(100), successors]);
    assert_eq!(bench.chord.ring().unwrap().successors(), [id(120), id(200), id(50)]);
    bench.clear();
    // From where, and where the walk goes on.
    for (from, end) in [(100, Some(120)), (110, Some(120)), (120, Some(200)), (210, None)] {
        let mut list = question(id(from), &[id(50)], 1, vec![5.into(), 0.into()]);
        list[4] = 1.into();
        bench.whisper(asker, &list);
        let (_, answer) = bench.answers(asker).remove(0);
        assert_eq!(answer[1], end.map_or(Value::Nil, |end| binary(id(end))), "{from}");
    }
}

#[test]
fn a_write_is_acknowledged_though_an_old_node_does_not_say_what_it_has_read() {
    let mut bench = Bench::new(ChordConfig::default());
    let old = bench.join_as(id(150), Kind::Py2p);
    bench.stores(old, true);
    bench.hold(old);
    let write = bench.set("key", "value");
    bench.seconds(5);
    assert_eq!(bench.write_of(write), Some(Ok(None)));
}
