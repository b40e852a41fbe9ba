//! A layer of one's own over the mesh: a number to which every node of a network adds.
//!
//! `cargo run --example custom_layer`
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

use rs2p::base::net::Stopped;
use rs2p::base::{Layer, NodeId, Stack, Time};
use rs2p::mesh::{Birth, LayerBuilder, Mesh, MeshEvent, Started};
use rs2p::wire::SubFlag;
use tokio::time::timeout;

// ANCHOR: layer
/// Says that a message holds totals. Numbers below 0x30 belong to the protocol.
const TOTALS: SubFlag = SubFlag::Other(0x40);

/// A node that counts together with others.
struct Counter {
    stack: Stack<Mesh, u64>,
    /// What each node has added. It only grows, so the larger of two totals is the newer one.
    totals: BTreeMap<NodeId, u64>,
    /// Whether the others are to be told, once there are peers and room on their links.
    has_news: bool,
}

impl Counter {
    fn new(birth: Birth) -> Self {
        Self { stack: Stack::new(birth.mesh()), totals: BTreeMap::new(), has_news: false }
    }

    fn add(&mut self, now: Time, count: u64) {
        let own = self.totals.entry(self.stack.below.id()).or_default();
        *own = own.saturating_add(count);
        self.has_news = true;
        self.stack.tell(self.sum());
        self.settle(now);
    }

    fn sum(&self) -> u64 {
        self.totals.values().copied().fold(0, u64::saturating_add)
    }

    fn learn(&mut self, id: NodeId, total: u64) {
        // Peers may make up as many ids as they like.
        if self.totals.len() < 1_000 || self.totals.contains_key(&id) {
            let known = self.totals.entry(id).or_default();
            *known = total.max(*known);
        }
    }
}

impl Layer for Counter {
    type Below = Mesh;
    type Event = u64;

    fn stack(&self) -> &Stack<Mesh, u64> {
        &self.stack
    }

    fn stack_mut(&mut self) -> &mut Stack<Mesh, u64> {
        &mut self.stack
    }

    fn on_event(&mut self, _: Time, event: MeshEvent) {
        match event {
            // Who has come may be new, or have been away with others.
            MeshEvent::Connected(_) => self.has_news = true,
            MeshEvent::Unclaimed(message) if message.sub_flag() == Some(TOTALS) => {
                for [id, total] in message.packets().as_chunks().0 {
                    let id = id.as_str().and_then(|id| id.parse().ok());
                    if let Some((id, total)) = id.zip(total.as_u64()) {
                        self.learn(id, total);
                    }
                }
                self.stack.tell(self.sum());
            }
            _ => {}
        }
    }

    fn carry_on(&mut self, now: Time) {
        if self.has_news {
            let pair = |(id, total): (&NodeId, &u64)| [id.to_string().into(), (*total).into()];
            let totals = self.totals.iter().flat_map(pair);
            self.has_news = self.stack.below.broadcast_as(now, TOTALS, totals).is_err();
        }
    }
}
// ANCHOR_END: layer

// ANCHOR: handle
/// A handle to a node that runs.
struct SharedCounter(Started<Counter>);

impl SharedCounter {
    fn add(&self, count: u64) -> Result<(), Stopped> {
        self.0.node.call(|counter, now| counter.add(now, count))
    }

    async fn reaches(&self, sum: u64) -> Result<u64, Stopped> {
        let reached = |counter: &mut Counter, _| Some(counter.sum()).filter(|now| *now >= sum);
        self.0.node.wait_for(reached).await
    }
}
// ANCHOR_END: handle

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let sums = timeout(Duration::from_secs(30), count()).await??;
    println!("one counts {}, two counts {}", sums[0], sums[1]);
    Ok(())
}

// ANCHOR: count
/// What two nodes count together.
async fn count() -> Result<[u64; 2], Box<dyn Error>> {
    let options = LayerBuilder::new("counter");
    let one = SharedCounter(options.start(Counter::new).await?);
    one.add(40)?;
    let seed = one.0.address.ok_or("it listens")?;
    let options = LayerBuilder::new("counter").seeds([seed.into()]);
    let two = SharedCounter(options.start(Counter::new).await?);
    two.add(2)?;
    Ok([one.reaches(42).await?, two.reaches(42).await?])
}
// ANCHOR_END: count

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
            let seeds = sim.nodes().next().map(|first| first.address());
            let node = sim.add(0, |address, seed| {
                Counter::new(Birth::new("counter", address, seed).seeds(seeds))
            });
            sim.call(node, |counter, now| counter.add(now, number));
            sim.run_for(10 * SECOND);
        }
        let counts_all = |counter: &Counter| counter.sum() == 55;
        let all_agree =
            |sim: &Sim<Counter>| sim.nodes().all(|node| sim.machine(node).is_some_and(counts_all));
        assert!(sim.wait_for(60 * SECOND, all_agree));
    }
    // ANCHOR_END: test
}
