//! Where on the ring things are: the ways to a key, this node's place, and how the node is doing.

use rs2p_base::NodeId;
use rs2p_chord::{ChordError, ChordStatus, Membership, Path, distance};
use serde_json::{Value as Json, json};

use super::ChordNode;
use crate::dictionary::{self, Answer, parse_key};
use crate::session::{Span, Style, Told, name, row};

impl ChordNode {
    pub(super) async fn explain(&self, words: &[String]) -> Answer {
        let key = parse_key(&words[0])?;
        let paths = self.socket.explain(&key).await?;
        let list: Json = paths
            .iter()
            .map(|path| {
                json!({
                    "table": path.table.name(),
                    "position": path.position.to_string(),
                    "hops": path.hops.iter().map(ToString::to_string).collect::<Vec<_>>(),
                    "addr": path.address.as_ref().map(ToString::to_string),
                })
            })
            .collect();
        let told = dictionary::on("explain", &key).field("paths", list);
        Ok(paths.iter().fold(told, |told, path| told.line(self.way(path))))
    }

    pub(super) fn ring(&self) -> Answer {
        let status = self.socket.status()?;
        let id = self.socket.id();
        let owned = share(&status, id);
        let told = Told::reply("ring")
            .field("position", self.socket.ring_position().to_string())
            .field("membership", membership(status.membership))
            .field("predecessor", status.predecessor.map(|id| id.to_string()))
            .field("successors", ids(&status.successors))
            .field("share", owned);
        let told = told.line(row("node", format!("{id}, at {}", percent(place(id)))));
        let told = told.line(row("ring", standing(&status)));
        if matches!(status.membership, Membership::Leeching | Membership::Joining) {
            return Ok(told);
        }
        let owned = match owned {
            Some(share) => format!("{} of the ring is this node's", percent(share)),
            None => "all of the ring: no other node stores".to_owned(),
        };
        let told = told.line(row("owns", owned));
        let told = match status.predecessor {
            Some(id) => told.line(neighbour("before", id)),
            None => told,
        };
        Ok(status.successors.iter().fold(told, |told, id| told.line(neighbour("next", *id))))
    }

    pub(super) async fn status(&self) -> Answer {
        // Nobody else says so before the node writes something itself.
        let unsaved = match self.socket.save().await {
            Err(ChordError::NotSaved(error)) => Some(error.to_string()),
            saved => saved.map(|()| None)?,
        };
        let status = self.socket.status()?;
        let counts = status.counts;
        let json = json!({
            "membership": membership(status.membership),
            "predecessor": status.predecessor.map(|id| id.to_string()),
            "successors": ids(&status.successors),
            "storing_peers": status.storing_peers,
            "silent_peers": status.silent_peers,
            "fingers": status.fingers,
            "shortcuts": status.shortcuts,
            "records": status.records,
            "tombstones": status.tombstones,
            "bytes": status.bytes,
            "keys": status.keys,
            "operations": status.operations,
            "store": self.store.as_ref().map(|path| path.to_string_lossy()),
            "store_problem": unsaved,
            "counts": {
                "served": counts.served,
                "routed": counts.routed,
                "dropped": counts.dropped,
                "lookups": counts.lookups,
                "hops": counts.hops,
                "most_hops": counts.most_hops,
                "retried": counts.retried,
                "redated": counts.redated,
                "repaired": counts.repaired,
                "moved": counts.moved,
                "read_repairs": counts.read_repairs,
                "refused": counts.refused,
                "malformed": counts.malformed,
                "silent": counts.silent,
            },
        });
        let storing =
            format!("{} of the peers; {} do not answer", status.storing_peers, status.silent_peers);
        let records = format!(
            "{} ({} B) for this node and its neighbours, {} of them deletions",
            status.records, status.bytes, status.tombstones
        );
        let asked = format!("{} questions answered, {} passed on", counts.served, counts.routed);
        let lookups = match counts.lookups {
            0 => "none yet".to_owned(),
            lookups => format!(
                "{lookups}, of {:.1} hops on average and {} at the most",
                counts.hops as f64 / lookups as f64,
                counts.most_hops
            ),
        };
        let store = match (&self.store, &unsaved) {
            (Some(path), Some(problem)) => format!("{}: {problem}", path.display()),
            (Some(path), None) => path.display().to_string(),
            (None, _) => "none: records live in memory".to_owned(),
        };
        self.mesh.status(|told| {
            Ok(told
                .field("chord", json)
                .line(row("ring", standing(&status)))
                .line(row("storing", storing))
                .line(row("records", records))
                .line(row("asked", asked))
                .line(row("lookups", lookups))
                .line(row("store", store)))
        })
    }

    /// A way to a key, on a line.
    fn way(&self, path: &Path) -> Vec<Span> {
        let plain = |text: &str| (Style::Plain, text.to_owned());
        let mut line = vec![(Style::Bold, format!("{:8}", path.table.name()))];
        let Some(owner) = path.hops.last() else {
            line.push((Style::Bad, "nobody answered in time".to_owned()));
            return line;
        };
        for (at, hop) in path.hops.iter().enumerate() {
            if at > 0 {
                line.push(plain(" → "));
            }
            if *hop == self.socket.id() {
                line.push(plain("this node"));
            } else {
                line.push(name(&hop.to_string()));
            }
        }
        let address = path.address.as_ref().filter(|_| *owner != self.socket.id());
        line.extend(address.map(|address| (Style::Faint, format!("  {address}"))));
        line
    }
}

fn membership(membership: Membership) -> &'static str {
    match membership {
        Membership::Leeching => "leeching",
        Membership::Joining => "joining",
        Membership::Settling => "settling",
        Membership::Joined => "joined",
        Membership::Leaving => "leaving",
        _ => "other",
    }
}

fn standing(status: &ChordStatus) -> String {
    match status.membership {
        Membership::Leeching => {
            "this node uses the network and stores nothing: `join` changes that"
        }
        Membership::Joining => "this node is looking for its place",
        Membership::Settling => {
            "this node stores; its neighbours are still telling it what they hold"
        }
        Membership::Leaving => "this node is handing over what it has",
        _ => "this node stores",
    }
    .to_owned()
}

fn ids(all: &[NodeId]) -> Vec<String> {
    all.iter().map(ToString::to_string).collect()
}

fn neighbour(title: &str, id: NodeId) -> [Span; 2] {
    row(title, format!("{id}, at {}", percent(place(id))))
}

/// How much of the ring belongs to a member; nothing where that is all of it.
fn share(status: &ChordStatus, id: NodeId) -> Option<f64> {
    status.successors.first().map(|next| place(distance(id, *next)))
}

/// A place on the ring, from 0 to 1.
fn place(id: NodeId) -> f64 {
    let bytes = id.to_bytes();
    let first = bytes.first_chunk().map_or(0, |first| u64::from_be_bytes(*first));
    first as f64 / 2_f64.powi(64)
}

fn percent(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}
