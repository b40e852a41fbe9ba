//! A layer of one's own over the mesh: a number to which every node of a network adds.
//!
//! `cargo run --example custom_layer`
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::time::Duration;

use rs2p::base::net::Stopped;
use rs2p::base::{Highest, Layer, NodeId, Stack, Time};
use rs2p::mesh::{Birth, LayerBuilder, Mesh, MeshEvent, Started};
use rs2p::wire::SubFlag;
use tokio::time::timeout;

// ANCHOR: layer
/// Says that a message holds totals. Numbers below 0x30 belong to the protocol.
const TOTALS: SubFlag = SubFlag::Other(0x40);

/// A node that counts together with others.
struct Counter {
    stack: Stack<Mesh, u64>,
    /// What each node has added, which only grows. Peers may make up ids, so there is a bound.
    totals: Highest<NodeId, u64>,
    /// Whether the others have been told: that has to wait for peers, and for room on links.
    told: bool,
}

impl Counter {
    fn new(birth: Birth) -> Self {
        Self { stack: Stack::new(birth.mesh()), totals: Highest::new(1_000), told: true }
    }

    fn add(&mut self, now: Time, count: u64) {
        let own = self.totals.own(self.stack.below.id());
        *own = own.saturating_add(count);
        self.told = false;
        self.settle(now);
    }

    fn total(&self) -> u64 {
        self.totals.values().copied().fold(0, u64::saturating_add)
    }
}

impl Layer for Counter {
    rs2p::base::stack!(stack: Stack<Mesh, u64>);

    fn on_event(&mut self, _: Time, event: MeshEvent) {
        // Who has come may be new, or have been away with others.
        self.told &= !matches!(event, MeshEvent::Connected(_));
        for [id, total] in event.unclaimed(TOTALS).as_chunks().0 {
            if let (Ok(id), Some(total)) = (id.try_into(), total.as_u64()) {
                self.totals.raise(id, total);
            }
        }
        self.stack.tell(self.total());
    }

    fn carry_on(&mut self, now: Time) {
        let totals = self.totals.iter().flat_map(|(id, total)| [(*id).into(), (*total).into()]);
        self.told = self.told || self.stack.below.broadcast_as(now, TOTALS, totals).is_ok();
    }
}
// ANCHOR_END: layer

// ANCHOR: handle
/// A handle to a node that runs.
struct SharedCounter(Started<Counter>);

impl SharedCounter {
    fn add(&self, count: u64) -> Result<(), Stopped> {
        self.0.call(|counter, now| counter.add(now, count))
    }

    fn total(&self) -> Result<u64, Stopped> {
        self.0.call(|counter, _| counter.total())
    }

    async fn reaches(&self, total: u64) -> Result<(), Stopped> {
        self.0.wait_for(|counter, _| (counter.total() >= total).then_some(())).await
    }
}
// ANCHOR_END: handle

// ANCHOR: count
/// What two nodes count together.
async fn count() -> Result<[u64; 2], Box<dyn Error>> {
    let one = SharedCounter(LayerBuilder::new("counter").start(Counter::new).await?);
    let seeds = one.0.address.map(Into::into);
    let two = SharedCounter(LayerBuilder::new("counter").seeds(seeds).start(Counter::new).await?);
    one.add(40)?;
    two.add(2)?;
    one.reaches(42).await?;
    two.reaches(42).await?;
    Ok([one.total()?, two.total()?])
}
// ANCHOR_END: count

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let [one, two] = timeout(Duration::from_secs(30), count()).await??;
    println!("one counts {one}, two counts {two}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rs2p_simnet::{Fidelity, Network, Sim};

    const SECOND: u64 = 1_000_000;

    #[tokio::test]
    async fn two_nodes_count_together() {
        assert_eq!(timeout(Duration::from_secs(30), count()).await.unwrap().unwrap(), [42, 42]);
    }

    // ANCHOR: test
    #[test]
    fn who_comes_late_learns_what_was_counted_before() {
        let mut sim = Sim::new(1, Network::default(), Fidelity::Messages);
        for number in 1..=10 {
            let node = sim.join(|address, seed, first| {
                Counter::new(Birth::new("counter", address, seed).seeds(first))
            });
            sim.call(node, |counter, now| counter.add(now, number));
            sim.run_for(10 * SECOND);
        }
        assert!(sim.wait_for(60 * SECOND, |sim| sim.all(|counter| counter.total() == 55)));
    }
    // ANCHOR_END: test
}
