//! The commands of a replicated dictionary.

use rs2p_base::Time;
use rs2p_mesh::OverMesh as _;
use rs2p_sync::{SyncError, WriteError};
use serde_json::{Value as Json, json};

use super::SyncNode;
use super::telling::{seconds, time};
use crate::dictionary::{
    Answer, count_of_keys, duration, no_such_key, on_key, parse_key, parse_pairs, plain, value_text,
};
use crate::session::{CommandError, CommandSpec, Style, Told, row};
use crate::settings::Lease;
use crate::{dictionary, json, key, words};

pub(super) const COMMANDS: &[CommandSpec] = &[
    on_key("set", "set KEY VALUE [LEASE]", "set a key, for a lease of this length", (2, Some(3))),
    on_key("get", "get KEY", "the value of a key", (1, Some(1))),
    on_key(
        "entry",
        "entry KEY",
        "its value, who wrote it, when, and until when it is leased",
        (1, Some(1)),
    ),
    on_key("del", "del KEY", "delete a key", (1, Some(1))),
    on_key("pop", "pop KEY", "delete a key, and tell its value", (1, Some(1))),
    plain("popitem", "delete some key that this node may delete, and tell it"),
    plain("keys", "all keys, in their order"),
    plain("values", "all values, in the order of their keys"),
    plain("items", "all keys and values, in the order of the keys"),
    plain("copy", "the whole dictionary, as one object"),
    plain("len", "how many keys there are"),
    on_key("update", "update KEY VALUE ...", "set many keys", (2, None)),
    on_key(
        "delta",
        "delta KEY JSON",
        "merge an object into the one that is its value",
        (2, Some(2)),
    ),
    on_key("renew", "renew KEY [LEASE]", "let the lease begin anew", (1, Some(2))),
];

impl SyncNode {
    pub(super) async fn set(&self, words: &[String]) -> Answer {
        let (key, value) = (parse_key(&words[0])?, words::value(&words[1])?);
        let lease = words.get(2).map(|word| self.parse_lease(word)).transpose()?;
        let deletes = value.is_nil();
        match lease {
            Some(Lease(lease)) => self.socket.set_for(&key, value, lease).await,
            None => self.socket.set(&key, value).await,
        }
        .map_err(|error| self.refused(error))?;
        let told = dictionary::on("set", &key);
        // The event tells of a deletion.
        Ok(if deletes { told } else { told.line(self.leased("set", lease)) })
    }

    pub(super) fn get(&self, words: &[String]) -> Answer {
        let key = parse_key(&words[0])?;
        Ok(dictionary::got(&key, self.socket.get(&key)?.as_deref()))
    }

    pub(super) fn entry(&self, words: &[String]) -> Answer {
        let key = parse_key(&words[0])?;
        let entry = self.socket.entry(&key)?;
        let (value, meta) = entry.map(|entry| (entry.value, entry.meta)).unzip();
        let lease_end = meta.as_ref().and_then(|meta| meta.lease_end);
        let told = dictionary::on("entry", &key)
            .field("value", value.as_deref().map_or(Json::Null, json::from_value))
            .field("owner", meta.as_ref().map(|meta| meta.owner.to_string()))
            .field("timestamp", meta.as_ref().map(|meta| meta.timestamp))
            .field("lease_end", lease_end.map(Time::as_secs));
        let (Some(value), Some(meta)) = (value, meta) else {
            return Ok(told.line([no_such_key()]));
        };
        let now = self.network_time()?;
        let mine = if meta.owner.node_id() == Some(self.socket.id()) { " (this node)" } else { "" };
        let ago = now.whole_secs().since(Time::from_secs(meta.timestamp));
        let leased = match lease_end {
            None => "never: this network has no leases".to_owned(),
            Some(end) if end <= now => format!("no longer, since {}", time(end)),
            Some(end) => {
                format!("for another {}, until {}", duration(seconds(end, now)), time(end))
            }
        };
        let written =
            format!("{} ago, at {}", duration(ago), time(Time::from_secs(meta.timestamp)));
        Ok(told
            .line(row("value", value_text(&value)))
            .line(row("owner", format!("{}{mine}", meta.owner)))
            .line(row("written", written))
            .line(row("leased", leased)))
    }

    /// People see the event, as they do when others delete a key.
    pub(super) async fn del(&self, words: &[String]) -> Answer {
        let key = parse_key(&words[0])?;
        self.socket.del(&key).await.map_err(|error| self.refused(error))?;
        Ok(dictionary::on("del", &key))
    }

    pub(super) async fn pop(&self, words: &[String]) -> Answer {
        let key = parse_key(&words[0])?;
        let value = self.socket.pop(&key).await.map_err(|error| self.refused(error))?;
        Ok(dictionary::popped(&key, &value))
    }

    pub(super) async fn popitem(&self) -> Answer {
        let found = self.socket.popitem().await.map_err(|error| self.refused(error))?;
        let (key, value) = found.ok_or(
            "there is no key that this node may delete: there is none at all, or others have their \
             leases",
        )?;
        Ok(dictionary::item("popitem", &key, &value))
    }

    pub(super) fn keys(&self) -> Answer {
        Ok(dictionary::all_keys(&self.socket.keys()?))
    }

    pub(super) fn values(&self) -> Answer {
        Ok(dictionary::all_values(&self.socket.values()?))
    }

    pub(super) fn items(&self) -> Answer {
        Ok(dictionary::all_items(&self.socket.items()?))
    }

    pub(super) fn copy(&self) -> Answer {
        Ok(dictionary::as_object(&self.socket.items()?))
    }

    pub(super) fn len(&self) -> Answer {
        Ok(dictionary::length(self.socket.len()?))
    }

    pub(super) async fn update(&self, words: &[String]) -> Answer {
        let items = parse_pairs(words)?;
        let count = items.len();
        for (done, (key, value)) in items.into_iter().enumerate() {
            if let Err(error) = self.socket.set(&key, value).await {
                let mut error = self.refused(error);
                let shown = key::to_word(&key);
                error.text +=
                    &format!(" ({shown} is pair {} of {count}; those before it are set)", done + 1);
                return Err(error);
            }
        }
        let done = format!("{} set", count_of_keys(count));
        Ok(Told::reply("update").line(self.leased(&done, None)))
    }

    pub(super) async fn delta(&self, words: &[String]) -> Answer {
        let (key, delta) = (parse_key(&words[0])?, words::entries(&words[1])?);
        let value = self.socket.apply_delta(&key, delta).await;
        let value = value.map_err(|error| self.refused(error))?;
        Ok(dictionary::item("delta", &key, &value))
    }

    pub(super) async fn renew(&self, words: &[String]) -> Answer {
        let key = parse_key(&words[0])?;
        let lease = words.get(1).map(|word| self.parse_lease(word)).transpose()?;
        let lease = lease.or(self.lease).ok_or(NO_LEASES)?;
        self.socket.renew(&key, lease.0).await.map_err(|error| self.refused(error))?;
        let told = dictionary::on("renew", &key);
        Ok(told.line(self.leased("renewed", Some(lease))))
    }

    pub(super) async fn status(&self) -> Answer {
        // Nobody else says so before the node writes something itself.
        let unsaved = match self.socket.save().await {
            Err(SyncError::NotSaved(error)) => Some(error.to_string()),
            saved => saved.map(|()| None)?,
        };
        let status = self.socket.status()?;
        let now = self.network_time()?;
        let counts = status.counts;
        let json = json!({
            "keys": status.keys,
            "bytes": status.bytes,
            "tombstones": status.tombstones,
            "lease": self.lease.map(|Lease(lease)| lease.as_secs()),
            "store": self.store.as_ref().map(|path| path.to_string_lossy()),
            "store_problem": unsaved,
            "handing_over": status.handing_over,
            "exchanging": status.exchanging,
            "same_as_peer": status.same_as_peer.map(Time::as_secs),
            "counts": {
                "written": counts.written,
                "taken": counts.taken,
                "lost": counts.lost,
                "no_room": counts.no_room,
                "ahead": counts.ahead,
                "malformed": counts.malformed,
                "repaired": counts.repaired,
                "given_up": counts.given_up,
                "same": counts.same,
                "different": counts.different,
            },
        });
        let keys = format!(
            "{} ({} B), {} deletions remembered",
            status.keys, status.bytes, status.tombstones
        );
        let refused = counts.no_room + counts.ahead;
        let writes = format!(
            "{} by this node, {} by others; {} more lost against newer ones, {refused} refused",
            counts.written, counts.taken, counts.lost
        );
        let leases = match self.lease {
            Some(Lease(lease)) => format!("{} for what this node writes", duration(lease)),
            None => "none in this network".to_owned(),
        };
        let compared = match status.same_as_peer {
            Some(then) => format!("the same as a peer {} ago", duration(now.since(then))),
            None => "not compared with a peer yet".to_owned(),
        };
        let store = match &self.store {
            Some(path) => match &unsaved {
                Some(problem) => format!("{}: {problem}", path.display()),
                None => path.display().to_string(),
            },
            None => "none: the dictionary lives in memory".to_owned(),
        };
        self.mesh.status(|told| {
            Ok(told
                .field("sync", json)
                .line(row("keys", keys))
                .line(row("writes", writes))
                .line(row("leases", leases))
                .line(row("replica", compared))
                .line(row("store", store)))
        })
    }

    fn parse_lease(&self, word: &str) -> Result<Lease, CommandError> {
        let lease: Lease = word
            .parse()
            .map_err(|reason| format!("{reason}; a VALUE of several words has to be quoted"))?;
        if self.lease.is_none() {
            return Err(NO_LEASES.into());
        }
        Ok(lease)
    }

    /// What was done, and how long others cannot undo it.
    fn leased(&self, done: &str, lease: Option<Lease>) -> [(Style, String); 1] {
        let text = match lease.or(self.lease).filter(|_| self.lease.is_some()) {
            Some(Lease(lease)) => format!("{done}, leased to this node for {}", duration(lease)),
            None => done.to_owned(),
        };
        [(Style::Faint, text)]
    }

    fn network_time(&self) -> Result<Time, CommandError> {
        let time = self.socket.mesh().node().call(|sync, now| sync.mesh().network_time(now));
        Ok(time?)
    }

    /// Why a write was refused, in terms of clocks and command lines.
    fn refused(&self, error: SyncError) -> CommandError {
        let SyncError::Write(WriteError::Leased { key, owner, until }) = &error else {
            return error.into();
        };
        let left = self.network_time().map(|now| seconds(*until, now)).unwrap_or_default();
        format!(
            "{} is leased to {owner} for another {}, until {}: wait, or ask its owner",
            key::to_word(key),
            duration(left),
            time(*until)
        )
        .into()
    }
}

const NO_LEASES: &str = "this network has no leases (--no-leasing): every node may write every key";
