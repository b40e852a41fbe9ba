//! A simulated network whose nodes say everything that the page shows, and who hears it.

use std::sync::{Arc, Mutex};

use rs2p_base::{Endpoint, Input, Machine, NodeId, Output, Time};
use rs2p_chord::{Chord, ChordConfig, Membership, Table};
use rs2p_mesh::{Birth, Mesh};
use rs2p_simnet::{Crash, Effect, Fidelity, Network, NodeIndex, NodeSet, Rule, Sim};
use rs2p_wire::{Message, SubFlag, Value};

/// All that was said.
pub(crate) type Said = Arc<Mutex<Vec<Message>>>;

/// A node, and who listens to it.
struct Overheard {
    node: Node,
    said: Said,
}

enum Node {
    Chord(Box<Chord>),
    /// It stores, and does not speak the extension.
    Old(Box<Mesh>),
}

impl Overheard {
    fn chord(&mut self) -> &mut Chord {
        match &mut self.node {
            Node::Chord(chord) => chord,
            Node::Old(_) => panic!("an old node"),
        }
    }
}

impl Machine for Overheard {
    type Event = ();

    fn handle_input(&mut self, now: Time, input: Input) {
        match &mut self.node {
            Node::Chord(node) => node.handle_input(now, input),
            Node::Old(node) => node.handle_input(now, input),
        }
    }

    fn handle_timeout(&mut self, now: Time) {
        match &mut self.node {
            Node::Chord(node) => node.handle_timeout(now),
            Node::Old(node) => node.handle_timeout(now),
        }
    }

    fn poll_output(&mut self) -> Option<Output<()>> {
        let output = match &mut self.node {
            Node::Chord(node) => node.poll_output()?.into_event().err(),
            Node::Old(node) => node.poll_output()?.into_event().err(),
        };
        if let Some(Output::Send { frame, .. }) = &output {
            self.said.lock().unwrap().push(frame.message().clone());
        }
        Some(output.unwrap_or(Output::Event(())))
    }

    fn poll_timeout(&self) -> Option<Time> {
        match &self.node {
            Node::Chord(node) => node.poll_timeout(),
            Node::Old(node) => node.poll_timeout(),
        }
    }
}

const SECOND: u64 = 1_000_000;

struct Net {
    sim: Sim<Overheard>,
    said: Said,
}

impl Net {
    fn add(&mut self, id: NodeId, seed: Option<NodeIndex>, joins: bool) -> NodeIndex {
        let said = self.said.clone();
        self.sim.add(0, |address, random| {
            let birth = birth(id, address, random, seed);
            let config = ChordConfig { joins, ..ChordConfig::default() };
            let mut chord = Chord::new(birth, config);
            chord.keep_changes();
            Overheard { node: Node::Chord(Box::new(chord)), said }
        })
    }

    fn run_for(&mut self, seconds: u64) {
        self.sim.run_for(seconds * SECOND);
    }

    fn call<R>(&mut self, node: NodeIndex, act: impl FnOnce(&mut Chord, Time) -> R) -> R {
        let result = self.sim.call(node, |it, now| act(it.chord(), now)).unwrap();
        self.run_for(3);
        result
    }

    fn wait_until_joined(&mut self, node: NodeIndex) {
        let is_joined = |sim: &Sim<Overheard>| match &sim.machine(node).unwrap().node {
            Node::Chord(chord) => chord.membership() == Membership::Joined,
            Node::Old(_) => false,
        };
        assert!(self.sim.wait_for(60 * SECOND, is_joined));
    }

    fn part(&mut self, one: NodeIndex, other: NodeIndex) {
        let set = |node| [node].into_iter().collect::<NodeSet>();
        for (from, to) in [(one, other), (other, one)] {
            self.sim.add_rule(Rule { from: set(from), to: set(to), effect: Effect::Block });
        }
    }
}

fn birth(id: NodeId, address: Endpoint, random: u64, seed: Option<NodeIndex>) -> Birth {
    let mut birth = Birth::new("chord", address, random).seeds(seed.map(NodeIndex::address));
    birth.id = id;
    birth
}

/// The id that begins with this byte and goes on with zeros.
fn id(first: u8) -> NodeId {
    let mut bytes = [0; NodeId::BYTES];
    bytes[0] = first;
    NodeId::from_bytes(bytes)
}

/// A key that lies in this part of the ring in table `table`.
fn key_within(table: Table, from: NodeId, to: NodeId) -> String {
    let lies = |key: &String| (from..to).contains(&table.position(key.as_bytes()).point());
    (0..).map(|number| format!("key {number}")).find(lies).unwrap()
}

/// Bob and another member, which comes back with what it knew; ada, who only asks, by way of bob;
/// and an old node.
pub(crate) fn messages() -> Vec<Message> {
    let sim = Sim::new(1, Network::default(), Fidelity::Messages);
    let mut net = Net { sim, said: Said::default() };
    let (half, quarter) = (id(0x80), id(0x40));
    let bob = net.add("bob".parse().unwrap(), None, true);
    net.wait_until_joined(bob);
    net.call(bob, |bob, now| bob.set(now, "colour", &"red".into())).unwrap();
    let member = net.add(half, Some(bob), true);
    net.wait_until_joined(member);
    let ada = net.add("ada".parse().unwrap(), Some(bob), false);
    net.part(ada, member);
    net.run_for(3);

    net.call(ada, |ada, now| ada.set(now, "colour", &"green".into())).unwrap();
    net.call(ada, |ada, now| ada.get(now, "colour")).unwrap();
    net.call(ada, |ada, now| ada.get(now, "nothing")).unwrap();
    net.call(ada, |ada, now| ada.explain(now, "colour")).unwrap();
    let change = |year: u64| vec![("born".into(), Value::from(year))];
    net.call(ada, |ada, now| ada.apply_delta(now, "lovelace", change(1816))).unwrap();
    net.call(ada, |ada, now| ada.apply_delta(now, "lovelace", change(1815))).unwrap();
    net.call(ada, |ada, now| ada.apply_delta(now, "colour", change(1815))).unwrap();
    let place = Some("bob".parse().unwrap());
    net.call(ada, |ada, now| ada.list(now, place)).unwrap();

    // Two writes in the same millisecond.
    net.sim.call(bob, |bob, now| bob.chord().set(now, "door", &"open".into()).unwrap());
    net.call(ada, |ada, now| ada.set(now, "door", &"shut".into())).unwrap();

    // Somebody does not answer for a while.
    net.sim.pause(member);
    net.sim.call(ada, |ada, now| ada.chord().get(now, "colour").unwrap());
    net.sim.run_for(SECOND);
    net.sim.resume(member);
    net.run_for(3);

    // An old node comes to the wrong member.
    let said = net.said.clone();
    let old = net.sim.add(0, |address, random| {
        let mut mesh = birth(quarter, address, random, Some(member)).mesh();
        mesh.set_greeting(vec![SubFlag::Handshake.into(), "0".into()]);
        Overheard { node: Node::Old(Box::new(mesh)), said }
    });
    net.part(ada, old);
    net.run_for(10);
    let key = key_within(Table::Sha256, quarter, half);
    net.call(ada, |ada, now| ada.get(now, &key)).unwrap();
    net.sim.crash(old, Crash::Process);

    // A member comes back, to which something was unknown, and from which something is.
    net.sim.crash(member, Crash::Process);
    net.run_for(3);
    net.call(ada, |ada, now| ada.set(now, "colour", &"blue".into())).unwrap();
    let said = net.said.clone();
    net.sim.restart(member, |address, random, before| {
        let mut chord = Chord::new(birth(half, address, random, Some(bob)), ChordConfig::default());
        let changes = before.unwrap().chord().take_changes();
        let records = changes.into_iter().filter_map(|(spot, record)| Some((spot, record?)));
        chord.restore(records).unwrap();
        Overheard { node: Node::Chord(Box::new(chord)), said }
    });
    net.wait_until_joined(member);
    net.run_for(30);
    net.call(bob, Chord::unjoin);
    net.run_for(3);
    let said = net.said.lock().unwrap();
    said.clone()
}
