//! Who knows whom.

use rs2p::bytestag::Key;

use super::peer::theirs;
use super::{LIMIT, TABLES, bytes, finish, ours, within};
use crate::run_within;

#[test]
#[ignore = "cargo xtask interop runs it"]
fn each_side_joins_by_the_other() {
    run_within(LIMIT, async {
        for table in TABLES {
            let mut seed = theirs(table, None).await;
            let by_them = ours([seed.socket()]).await;
            seed.has_met(by_them.id()).await;
            let known = by_them.table().expect("it runs");
            assert!(known.iter().flatten().any(|node| node.id == seed.key()));

            let alone = ours([]).await;
            let mut joining = theirs(table, Some(alone.address())).await;
            joining.has_met(alone.id()).await;
            within(alone.joined()).await.expect("it runs");
            assert_eq!(within(alone.ping(joining.socket())).await.expect("up").id, joining.key());
            finish([seed, joining]).await;
        }
    });
}

#[test]
#[ignore = "cargo xtask interop runs it"]
fn lookups_of_both_end_with_the_nearest_nodes_of_a_mixed_network() {
    run_within(LIMIT, async {
        let mut old = vec![theirs("memory", None).await];
        let seed = old[0].socket();
        let mut new = Vec::new();
        for table in ["memory", "client", "memory"] {
            new.push(ours([seed]).await);
            if old.len() < 3 {
                old.push(theirs(table, Some(new[new.len() - 1].address())).await);
            }
        }
        let all: Vec<Key> =
            new.iter().map(|node| node.id()).chain(old.iter().map(|node| node.key())).collect();
        for peer in &mut old {
            let own = peer.key();
            for id in all.iter().filter(|id| **id != own) {
                // Not all are met on the way in; a lookup of each makes sure of that.
                peer.looks_up(*id).await;
            }
        }
        for seed in 0..4 {
            let target = Key::try_from(&bytes(seed, 20)[..]).expect("20 bytes");
            let nearest = |without: Key| {
                let mut ids: Vec<_> = all.iter().copied().filter(|id| *id != without).collect();
                ids.sort_by_key(|id| id.distance(&target));
                ids
            };
            for node in &new {
                let found = within(node.find(target)).await.expect("it runs");
                let ids: Vec<_> = found.nodes.iter().map(|node| node.id).collect();
                assert_eq!(ids, nearest(node.id()));
            }
            for peer in &mut old {
                // It ends its lookups early: the nearest node may not be asked, but it is found.
                assert_eq!(peer.looks_up(target).await.first(), nearest(peer.key()).first());
            }
        }
        finish(old).await;
    });
}
