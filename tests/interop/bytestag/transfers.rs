//! Values that go over to the other side and back.

use futures_util::future::join_all;
use rs2p::bytestag::{Contact, ValueId};

use super::peer::theirs;
use super::{LIMIT, TABLES, bytes, finish, keeps, ours, within};
use crate::run_within;

/// From one byte to a little more than the part of a file.
const SIZES: [usize; 5] = [1, 1024, 1500, 100_000, 300_000];

#[test]
#[ignore = "cargo xtask interop runs it"]
fn our_values_are_on_their_nodes_and_come_back_when_we_are_gone() {
    run_within(LIMIT, async {
        let mut old = vec![theirs(TABLES[0], None).await];
        let seed = old[0].socket();
        for table in &TABLES[1..] {
            old.push(theirs(table, Some(seed)).await);
        }
        let writer = ours(old.iter().map(|peer| peer.socket())).await;
        let values = SIZES.map(|size| bytes(size as u64, size));
        for value in &values {
            let (_, copies) = within(writer.put(value.clone())).await.expect("it is stored");
            assert_eq!(copies.stored, old.len(), "{copies:?}");
        }
        for peer in &mut old {
            let mut kept = peer.keeps().await;
            kept.sort_by_key(|(_, size)| *size);
            let all: Vec<_> =
                values.iter().map(|value| (ValueId::of(value), value.len() as u64)).collect();
            assert_eq!(kept, all);
        }
        within(writer.close()).await.expect("it runs");

        let reader = ours([old[2].socket()]).await;
        for value in &values {
            let id = ValueId::of(value);
            let got = within(reader.get(id.key, Some(id.index))).await.expect("it is there");
            assert!(got.value == *value, "{} bytes", value.len());
            let from = got.from.expect("not from here").id;
            assert!(old.iter().any(|peer| peer.key() == from));
        }
        finish(old).await;
    });
}

#[test]
#[ignore = "cargo xtask interop runs it"]
fn their_values_are_on_our_nodes_and_come_back() {
    run_within(LIMIT, async {
        let first = ours([]).await;
        let second = ours([first.address()]).await;
        let mut old = theirs("memory", Some(first.address())).await;
        old.looks_up(second.id()).await;
        old.has_met(second.id()).await;
        for (kept, size) in (1..).zip(SIZES) {
            let value = bytes(size as u64, size);
            let (id, stored) = old.stores(&value).await;
            assert_eq!(stored, 2, "{size} bytes");
            for node in [&first, &second] {
                // It counts what was confirmed, before the end has come.
                keeps(node, kept).await;
                let got = within(node.get(id.key, Some(id.index))).await.expect("it is there");
                assert!(got.value == value, "{size} bytes");
                assert_eq!(got.from, None);
                assert_eq!(old.gets(id, node, 0).await, (size as u64, id.index));
                let rest = ValueId::of(&value[size / 2..]).index;
                let length = (size - size / 2) as u64;
                assert_eq!(old.gets(id, node, size / 2).await, (length, rest));
            }
            let mut holders = old.finds(id).await;
            holders.sort();
            let mut both = vec![first.id(), second.id()];
            both.sort();
            assert_eq!(holders, both);
            // It has both marked as holders now, and asks for nothing to be stored.
            old.stores_again(id).await;
        }
        finish([old]).await;
    });
}

#[test]
#[ignore = "cargo xtask interop runs it"]
fn many_values_at_once_do_not_stop_a_node_of_theirs() {
    run_within(LIMIT, async {
        for table in ["memory", "client"] {
            let mut old = theirs(table, None).await;
            let node = ours([old.socket()]).await;
            let values: Vec<_> = (0..24_u64).map(|seed| bytes(seed, 2000)).collect();
            let puts = values.iter().map(|value| within(node.put(value.clone())));
            for put in join_all(puts).await {
                assert_eq!(put.expect("it is stored").1.stored, 1);
            }
            assert_eq!(old.keeps().await.len(), values.len());

            let reader = ours([old.socket()]).await;
            let holder = Contact::new(old.key(), old.socket());
            within(node.close()).await.expect("it runs");
            let gets = values.iter().map(|value| {
                let id = ValueId::of(value);
                within(reader.get_from(id.key, Some(id.index), [holder]))
            });
            for (got, value) in join_all(gets).await.into_iter().zip(&values) {
                assert!(got.expect("it is there").value == *value);
            }
            finish([old]).await;
        }
    });
}
