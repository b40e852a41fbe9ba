//! Bugs to plant into nodes of the Kademlia DHT. They stand between a node and the world, and change
//! what it says or hears.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use rs2p_base::{Input, Output, Time};
use rs2p_bytestag::{Dht, DhtEvent, Key};
use rs2p_simnet::{Fate, Tamper};
use serde_json::Value;

use super::Boxed;
use super::datagram::{self, Object};
use super::node::Node;

/// The bugs, each with what is wrong.
pub(super) const BUGS: &[(&str, &str)] = &[
    ("hasty-lookup", "a lookup ends as soon as a nearer node has answered"),
    ("fresh-copies", "values of others are passed on as if they were published just now"),
    ("ousted-elders", "a newcomer takes the place of a bucket's oldest node, which is not asked"),
];

pub(super) fn bug(name: &str) -> Option<Boxed> {
    Some(match name {
        "hasty-lookup" => Box::<HastyLookup>::default(),
        "fresh-copies" => Box::new(FreshCopies),
        "ousted-elders" => Box::new(OustedElders),
        _ => return None,
    })
}

/// Takes no more nodes from answers once one has answered that is nearer than those known before.
#[derive(Default)]
struct HastyLookup {
    /// The keys of questions, by their numbers.
    questions: BTreeMap<String, Key>,
    lookups: BTreeMap<Key, Lookup>,
}

struct Lookup {
    began: Time,
    /// The nearest node known at the beginning.
    nearest: Key,
    is_over: bool,
}

impl HastyLookup {
    fn asks(&mut self, dht: &Dht, now: Time, object: &Object) -> Option<()> {
        if !matches!(datagram::asked(object)?, "findnode" | "findval") {
            return None;
        }
        let target = datagram::key(object, "key")?;
        let nearest = dht.table().closest(&target).next()?.id;
        let fresh = Lookup { began: now, nearest, is_over: false };
        let lookup = self.lookups.entry(target).or_insert(Lookup { ..fresh });
        if now.since(lookup.began) > LONGEST {
            *lookup = fresh;
        }
        self.questions.insert(datagram::ticket(object, "seq_id")?.to_owned(), target);
        Some(())
    }

    fn hears(&mut self, object: &mut Object) -> Option<()> {
        let target = self.questions.remove(datagram::ticket(object, "reply_id")?)?;
        let lookup = self.lookups.get_mut(&target)?;
        let sender = datagram::key(object, "nodeid")?;
        lookup.is_over |= target.distance(&sender) < target.distance(&lookup.nearest);
        if !lookup.is_over || !datagram::tells_nodes(object) {
            return None;
        }
        datagram::tell_nodes(object, Vec::new());
        Some(())
    }
}

/// No lookup takes longer.
const LONGEST: std::time::Duration = std::time::Duration::from_secs(60);

impl Tamper<Node> for HastyLookup {
    fn input(&mut self, _: &mut Node, _: Time, input: Input) -> Option<Input> {
        let Input::Datagram { from, data } = &input else { return Some(input) };
        let Some(mut object) = datagram::open(data) else { return Some(input) };
        let heard = self.hears(&mut object).and_then(|()| datagram::close(&object));
        Some(heard.map_or_else(|| input.clone(), |data| Input::Datagram { from: *from, data }))
    }

    fn output(&mut self, node: &Node, now: Time, output: Output<DhtEvent>) -> Fate<DhtEvent> {
        if let (Output::Datagram { data, .. }, Some(dht)) = (&output, node.dht())
            && let Some(object) = datagram::open(data)
        {
            self.asks(dht, now, &object);
        }
        Fate::Pass(output)
    }
}

/// Says of each value that it stores that it was published just now.
struct FreshCopies;

impl Tamper<Node> for FreshCopies {
    fn output(&mut self, _: &Node, now: Time, output: Output<DhtEvent>) -> Fate<DhtEvent> {
        let Output::Datagram { to, data } = &output else { return Fate::Pass(output) };
        let Some(mut object) = datagram::open(data) else { return Fate::Pass(output) };
        if datagram::asked(&object) != Some("store") {
            return Fate::Pass(output);
        }
        object.insert("timestmp".into(), Value::from(now.as_secs()));
        match datagram::close(&object) {
            Some(data) => Fate::Instead(Output::Datagram { to: *to, data }),
            None => Fate::Pass(output),
        }
    }
}

/// Asks nobody of its table whether he is still there.
struct OustedElders;

impl Tamper<Node> for OustedElders {
    fn output(&mut self, node: &Node, _: Time, output: Output<DhtEvent>) -> Fate<DhtEvent> {
        let Output::Datagram { to: SocketAddr::V4(to), data } = &output else {
            return Fate::Pass(output);
        };
        let is_ping = datagram::open(data).is_some_and(|it| datagram::asked(&it) == Some("ping"));
        let is_known = |dht: &Dht| {
            let mut known = dht.table().buckets().iter().flat_map(|bucket| bucket.nodes());
            known.any(|node| node.address == *to)
        };
        if is_ping && node.dht().is_some_and(is_known) { Fate::Drop } else { Fate::Pass(output) }
    }
}
