//! Other nodes: who is there, who is near a key, and how this one is doing.

use rs2p_bytestag::{Contact, DhtError};
use serde_json::{Value as Json, json};
use tokio::time::Instant;

use super::{KadNode, parse_key, resolve};
use crate::dictionary::Answer;
use crate::session::{CommandError, Span, Style, Told, row};
use crate::settings::DialAddress;

impl KadNode {
    pub(super) async fn ping(&self, words: &[String]) -> Answer {
        let address = address(&words[0]).await?;
        let sent = Instant::now();
        let contact = self.node.ping(address).await?;
        let ms = (sent.elapsed().as_secs_f64() * 1e6).round() / 1e3;
        let id = contact.id.to_string();
        Ok(Told::reply("ping")
            .field("id", &*id)
            .field("ms", ms)
            .line([(Style::Name, id), (Style::Plain, format!("  answers within {ms} ms"))]))
    }

    pub(super) async fn join(&self, words: &[String]) -> Answer {
        let mut addresses = Vec::new();
        for word in words {
            addresses.push(address(word).await?);
        }
        let contacts = self.node.join(addresses).await?;
        let text = format!("joined; {} known", nodes(contacts));
        Ok(Told::reply("join").field("contacts", contacts).line([(Style::Good, text)]))
    }

    pub(super) async fn find(&self, words: &[String]) -> Answer {
        let found = self.node.find(parse_key(&words[0])?).await?;
        let told =
            Told::reply("find").field("nodes", found.nodes.iter().map(to_json).collect::<Json>());
        if found.nodes.is_empty() {
            return Ok(told.line([nobody()]));
        }
        Ok(found.nodes.iter().fold(told, |told, node| told.line(line(node))))
    }

    pub(super) fn table(&self) -> Answer {
        let table = self.node.table()?;
        let filled = || table.iter().enumerate().filter(|(_, nodes)| !nodes.is_empty());
        let buckets: Json = filled()
            .map(|(bucket, nodes)| {
                json!({ "bucket": bucket, "nodes": nodes.iter().map(to_json).collect::<Json>() })
            })
            .collect();
        let mut told = Told::reply("table").field("buckets", buckets);
        for (bucket, nodes) in filled() {
            let bits = if bucket == 1 { "bit" } else { "bits" };
            let text = format!("bucket {bucket}: {bucket} {bits} in common with this node");
            told = told.line([(Style::Faint, text)]);
            told = nodes.iter().fold(told, |told, node| told.line(line(node)));
        }
        Ok(if table.iter().all(Vec::is_empty) { told.line([nobody()]) } else { told })
    }

    pub(super) fn status(&self) -> Answer {
        let status = self.node.status()?;
        let (id, listen) = (self.node.id().to_string(), self.node.address().to_string());
        let counts = status.counts;
        let shared = self.node.shared().len();
        let told = Told::reply("status")
            .field("id", &*id)
            .field("listen", &*listen)
            .field("contacts", status.contacts)
            .field("own_values", status.own_values)
            .field("foreign_values", status.foreign_values)
            .field("foreign_bytes", status.foreign_bytes)
            .field("capacity", self.capacity)
            .field("shared_files", shared)
            .field("unpublished", status.unpublished)
            .field("to_publish", status.to_publish)
            .field("uploads", status.uploads)
            .field("downloads", status.downloads)
            .field("questions", status.questions)
            .field("operations", status.operations)
            .field("store", self.store.as_ref().map(|path| path.to_string_lossy().into_owned()))
            .field(
                "counts",
                json!({
                    "sent": counts.sent,
                    "received": counts.received,
                    "over_rate": counts.over_rate,
                    "unreadable": counts.unreadable,
                    "unexpected": counts.unexpected,
                    "silent": counts.silent,
                }),
            );
        let own = format!(
            "{}, of which {} nobody else has yet; {shared} files are shared",
            status.own_values, status.unpublished
        );
        let foreign = format!(
            "{} of other nodes, {} of at most {}",
            status.foreign_values,
            bytes(status.foreign_bytes),
            bytes(self.capacity)
        );
        let traffic = format!(
            "{} datagrams out, {} in; {} questions were not answered",
            counts.sent, counts.received, counts.silent
        );
        let store = match &self.store {
            Some(path) => path.display().to_string(),
            None => "none: values live in memory".to_owned(),
        };
        Ok(told
            .line(row("node", id))
            .line(row("listening", format!("on {listen}")))
            .line(row("knows", nodes(status.contacts)))
            .line(row("publishes", own))
            .line(row("values", foreign))
            .line(row("moving", format!("{} out, {} in", status.uploads, status.downloads)))
            .line(row("traffic", traffic))
            .line(row("store", store)))
    }

    pub(super) fn known_addresses(&self) -> Vec<String> {
        let known = self.node.table().unwrap_or_default();
        known.iter().flatten().map(|node| node.address.to_string()).collect()
    }
}

async fn address(word: &str) -> Result<std::net::SocketAddrV4, CommandError> {
    let DialAddress(endpoint) = word.parse()?;
    resolve(&endpoint).await.map_err(|reason| format!("{word}: {reason}").into())
}

fn to_json(node: &Contact) -> Json {
    json!({ "id": node.id.to_string(), "addr": node.address.to_string() })
}

fn line(node: &Contact) -> [Span; 2] {
    [(Style::Name, node.id.to_string()), (Style::Plain, format!("  {}", node.address))]
}

fn nobody() -> Span {
    (Style::Faint, "no node is known: `join HOST:PORT` joins a network".to_owned())
}

pub(super) fn nodes(count: usize) -> String {
    if count == 1 { "1 node".to_owned() } else { format!("{count} nodes") }
}

/// A number of bytes for people.
pub(super) fn bytes(count: u64) -> String {
    indicatif::BinaryBytes(count).to_string()
}

/// What is said of a failed operation, in words that help at the command line.
pub(super) fn explained(error: DhtError) -> CommandError {
    match error {
        DhtError::Get(rs2p_bytestag::GetError::Alone) => {
            "no node is known: `join HOST:PORT` joins a network".into()
        }
        error => error.into(),
    }
}
