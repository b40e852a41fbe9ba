//! What is taken and for how long, as far as the reference and we agree.

use super::*;
use crate::contents::MemoryContents;
use crate::share::vectors::{Case, cases, hex_key};
use rs2p_kad::{Node, RoutingTable, TableConfig};
use std::net::SocketAddrV4;

const NOW: Time = Time::from_secs(1_000);

const LIFE: Duration = Duration::from_secs(86_490);

fn item(case: &Case, name: &str) -> (ValueId, Bytes) {
    let item = &case.value["items"][name];
    let id = ValueId { key: hex_key(&item["key_hex"]), index: hex_key(&item["index_hex"]) };
    (id, hex::decode(item["value_hex"].as_str().unwrap()).unwrap().into())
}

/// Where the reference takes what it has when the time stamp is another: its plain tables take the
/// bytes once more, a whole client refuses them and forgets the time (D11). We note a newer time
/// and need no bytes; we never go back.
fn verdict_of_known(stamp: u64) -> Verdict {
    if stamp > 100 { Verdict::Renewed } else { Verdict::Known }
}

#[test]
fn every_sequence_of_offers_is_taken_as_it_should_be() {
    let all = cases("storage").into_iter().filter(|case| case.value["kind"] == "acceptance");
    let all: Vec<_> = all.collect();
    assert_eq!(all.len(), 6);
    for case in all {
        let mut values = Values::new(Box::new(MemoryContents::default()));
        let mut config = DhtConfig::default();
        let mut renewed = false;
        for (number, step) in case.value["steps"].as_array().unwrap().iter().enumerate() {
            let place = format!("{}, step {number}", case.id);
            if step["op"] == "set_max_size" {
                config.capacity = step["value"].as_u64().unwrap();
                continue;
            }
            let name = step["item"].as_str().unwrap();
            let (id, value) = item(&case, name);
            let stamp = step["timestamp"].as_u64().unwrap_or(0);
            match step["op"].as_str().unwrap() {
                "store" => {
                    let (size, stamp) = (value.len() as u64, Time::from_secs(stamp));
                    let record = Record { size, stamp, lives: LIFE, original: false };
                    values.keep(id, record, &value).unwrap();
                    if let Some(indices) = step["indices"].as_array() {
                        let mut indices: Vec<_> = indices.iter().map(hex_key).collect();
                        indices.sort_unstable();
                        let held: Vec<_> = values.ids_of(&id.key).map(|id| id.index).collect();
                        assert_eq!(held, indices, "{place}");
                    }
                }
                "delete" => assert!(values.remove(&id).is_some(), "{place}"),
                "is_acceptable" => {
                    let size = step["size"].as_i64().unwrap();
                    let was_known = values.get(&id).is_some();
                    let offer = (size, stamp as i64);
                    let verdict = values.judge(NOW, &id, offer, LIFE, &config);
                    if was_known && name == "a" {
                        // Once renewed, it has the newer time stamp.
                        let expected = verdict_of_known(if renewed { 0 } else { stamp });
                        assert_eq!(verdict, expected, "{place}");
                        renewed |= verdict == Verdict::Renewed;
                    } else {
                        let theirs = step["result"] == true;
                        assert_eq!(verdict == Verdict::Accept, theirs, "{place}: {verdict:?}");
                    }
                }
                other => panic!("{place}: {other}"),
            }
        }
    }
}

#[test]
fn what_is_expired_is_removed_and_nothing_else() {
    let all = cases("storage").into_iter();
    let all: Vec<_> = all.filter(|case| case.value["kind"] == "expiry").collect();
    assert_eq!(all.len(), 1);
    let now = Time::from_secs(1_000_000);
    for row in all[0].value["rows"].as_array().unwrap() {
        // Each of our values has both.
        let (Some(age), Some(lives)) = (row["age_seconds"].as_u64(), row["time_to_live"].as_f64())
        else {
            continue;
        };
        let mut values = Values::new(Box::new(MemoryContents::default()));
        let id = ValueId::of(b"value");
        let stamp = Time::from_secs(1_000_000 - age);
        let lives = Duration::from_secs_f64(lives);
        let record = Record { size: 5, stamp, lives, original: false };
        values.keep(id, record, &Bytes::from_static(b"value")).unwrap();
        let is_kept = values.pop_expired(now).is_none();
        assert_eq!(is_kept, row["intended_kept"] == true, "{row}");
        assert_eq!(values.get(&id).is_some(), is_kept, "{row}");
    }
}

#[test]
fn from_twenty_nearer_nodes_on_a_value_lives_as_the_formula_says() {
    let all = cases("expiration").into_iter();
    let formulas: Vec<_> = all.filter(|case| case.value["kind"] == "formula").collect();
    let applies = |case: &&Case| case.value["contacts"].as_u64().unwrap() >= 20;
    assert!(formulas.iter().filter(applies).count() >= 3);
    for case in &formulas {
        let contacts = case.value["contacts"].as_u64().unwrap() as usize;
        let ours = lifetime(LIFE, contacts, 20).as_secs_f64();
        let theirs = case.value["expect"]["seconds"].as_f64().unwrap();
        if contacts >= 20 {
            assert!((ours / theirs - 1.0).abs() < 1e-6, "{}: {ours} for {theirs}", case.id);
        } else {
            // The reference means to give the whole time here, and never does.
            assert_eq!(ours, 86_490.0, "{}", case.id);
        }
    }
}

/// The reference counts all nodes of farther buckets as nearer ones, so that the nodes next to a
/// key keep its value the shortest; of its other buckets it looks into one. We count those that
/// are really nearer, wherever they are.
#[test]
fn only_nodes_that_are_really_nearer_make_a_life_shorter() {
    let all = cases("expiration").into_iter();
    // Tables around a key that is not the node's id are a defect (D8).
    let is_sane = |case: &Case| case.value["own_id_hex"] == case.value["table_key_hex"];
    let tables: Vec<_> =
        all.filter(|case| case.value["kind"] == "table" && is_sane(case)).collect();
    assert!(tables.len() >= 3);
    for case in tables {
        let own = hex_key(&case.value["own_id_hex"]);
        let mut table = RoutingTable::new(own, TableConfig::default());
        let contacts: Vec<_> =
            case.value["contacts_hex"].as_array().unwrap().iter().map(hex_key).collect();
        for id in &contacts {
            table.update(Duration::ZERO, Node::new(*id, SocketAddrV4::new([1; 4].into(), 1)));
        }
        for row in case.value["rows"].as_array().unwrap() {
            let key = hex_key(&row["key_hex"]);
            let known = table.closest(&own).map(|node| node.id);
            let nearer = known.filter(|id| key.distance(id) < key.distance(&own)).count();
            assert_eq!(table.count_closer(&key), nearer, "{}: {row}", case.id);
        }
    }
}
