//! One node of ours and one of theirs.

use serde_json::json;

use crate::chord::dht::{Dht, pairs};
use crate::chord::peer::start_leeching;
use crate::node::Dialling;
use crate::peer::{Kind, Peer};
use crate::{LIMIT, run_within};

const MANY: usize = 100;
const SOME: usize = 10;

/// When they join the ring.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Joining {
    /// Ours and theirs, before there is a link.
    Before,
    /// Ours before there is a link, theirs behind.
    TheirsLater,
    /// The other way round.
    OursLater,
    /// Theirs, then ours, over the link.
    TheirsThenOurs,
}

impl Joining {
    const ALL: [Self; 4] = [Self::Before, Self::TheirsLater, Self::OursLater, Self::TheirsThenOurs];

    /// Two that store, and know it of each other.
    pub(crate) async fn pair(self, kind: Kind, dialling: Dialling) -> (Dht, Peer) {
        let is_early = matches!(self, Self::Before | Self::TheirsLater);
        let ours =
            async { if is_early { Dht::start().await } else { Dht::start_leeching().await } };
        let (mut ours, mut peer) = tokio::join!(ours, start_leeching(kind));
        if is_early {
            ours.is_member(0).await;
        }
        if matches!(self, Self::Before | Self::OursLater) {
            peer.join().await;
        }
        ours.link(&mut peer, dialling).await;
        if matches!(self, Self::TheirsLater | Self::TheirsThenOurs) {
            peer.join().await;
        }
        // py2p that stores says so on a link it has dialled only to who stores itself.
        if !is_early {
            ours.socket.join().await.expect("it runs");
        }
        ours.is_member(1).await;
        peer.takes_for_storing(&[ours.id()], true).await;
        (ours, peer)
    }
}

async fn what_one_sets_the_other_reads(kind: Kind, joining: Joining, dialling: Dialling) {
    let (mut ours, mut peer) = joining.pair(kind, dialling).await;
    let is_first = matches!((joining, dialling), (Joining::Before, Dialling::Us));
    let count = if is_first { MANY } else { SOME };
    let (of_ours, of_theirs) = (pairs("ours", count), pairs("theirs", count));
    for (key, value) in &of_ours {
        ours.set(key, value).await;
    }
    peer.comes_to_have_all(&of_ours).await;
    peer.set_all(&of_theirs).await;
    peer.set(&json!("last"), &json!(1)).await;
    ours.hears_of("last").await;
    ours.has_all(&of_theirs).await;
    peer.comes_to_have_all(&of_theirs).await;
    ours.has_all(&of_ours).await;
    ours.finish(&[peer.node_id()]).await;
    peer.finish().await;
}

fn in_all_orders(kind: Kind, dialling: Dialling) {
    run_within(2 * LIMIT, async {
        for joining in Joining::ALL {
            what_one_sets_the_other_reads(kind, joining, dialling).await;
        }
    });
}

#[test]
#[ignore = "cargo xtask interop runs it"]
fn ours_and_py2p_have_what_the_other_sets_when_we_dial() {
    in_all_orders(Kind::Py, Dialling::Us);
}

#[test]
#[ignore = "cargo xtask interop runs it"]
fn ours_and_py2p_have_what_the_other_sets_when_they_dial() {
    in_all_orders(Kind::Py, Dialling::Them);
}

#[test]
#[ignore = "cargo xtask interop runs it"]
fn ours_and_js2p_have_what_the_other_sets_when_we_dial() {
    in_all_orders(Kind::Js, Dialling::Us);
}

#[test]
#[ignore = "cargo xtask interop runs it"]
fn ours_and_js2p_have_what_the_other_sets_when_they_dial() {
    in_all_orders(Kind::Js, Dialling::Them);
}
