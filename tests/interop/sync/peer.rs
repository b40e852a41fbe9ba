//! What a running py2p or js2p node does with its dictionary.

use serde_json::{Value as Json, json};

use crate::peer::{Kind, Peer};
use crate::sync::dictionary::key;
use crate::values::alike;

/// A node with a dictionary, with leases.
pub(crate) async fn start(kind: Kind) -> Peer {
    start_with(kind, &[]).await
}

pub(crate) async fn start_with(kind: Kind, options: &[&str]) -> Peer {
    let options: Vec<_> = ["--kind", "sync"].iter().chain(options).copied().collect();
    Peer::start_with(kind, &options).await
}

impl Peer {
    pub(crate) async fn set(&mut self, key: &Json, value: &Json) {
        self.command(json!({"cmd": "set", "key": key, "value": value})).await;
    }

    /// As [`set`](Self::set); what it raises, if it does.
    pub(crate) async fn try_set(&mut self, key: &Json, value: &Json) -> Result<(), String> {
        self.attempt(json!({"cmd": "set", "key": key, "value": value})).await
    }

    pub(crate) async fn del(&mut self, key: &Json) {
        self.command(json!({"cmd": "del", "key": key})).await;
    }

    pub(crate) async fn try_del(&mut self, key: &Json) -> Result<(), String> {
        self.attempt(json!({"cmd": "del", "key": key})).await
    }

    pub(crate) async fn delta(&mut self, key: &Json, delta: &Json) {
        self.command(json!({"cmd": "delta", "key": key, "delta": delta})).await;
    }

    pub(crate) async fn try_delta(&mut self, key: &Json, delta: &Json) -> Result<(), String> {
        self.attempt(json!({"cmd": "delta", "key": key, "delta": delta})).await
    }

    async fn attempt(&mut self, command: Json) -> Result<(), String> {
        let answer = self.try_command(command).await;
        answer["error"].as_str().map_or(Ok(()), |error| Err(error.to_owned()))
    }

    /// The value of a key, null when there is none. js2p says so of empty values, too.
    pub(crate) async fn get(&mut self, key: &Json) -> Json {
        self.command(json!({"cmd": "get", "key": key})).await["value"].clone()
    }

    /// How many keys it has; js2p does not count those of empty values.
    pub(crate) async fn len(&mut self) -> usize {
        let answer = self.command(json!({"cmd": "keys"})).await;
        answer["keys"].as_array().expect("a list").len()
    }

    /// Waits until it has told of so many updates, and checks that it has so many keys then.
    pub(crate) async fn has_keys(&mut self, count: usize) {
        // Each line is looked at once: there may be many. The deadline is for some of them.
        let (mut seen, mut updates) = (0, 0);
        while updates < count {
            let wanted = count.min(updates + 500);
            self.until(&format!("{wanted} updates"), |log| {
                updates += log[seen..].iter().filter(|told| told["event"] == "update").count();
                seen = log.len();
                (updates >= wanted).then_some(())
            })
            .await;
        }
        assert_eq!(self.len().await, count);
    }

    /// Waits until it has told that this key has this value, and gives what it told.
    pub(crate) async fn updates(&mut self, name: &Json, value: &Json) -> Json {
        self.updates_by(name, value, None).await
    }

    /// As [`updates`](Self::updates); the author counts too.
    pub(crate) async fn updates_by(
        &mut self,
        name: &Json,
        value: &Json,
        owner: Option<&str>,
    ) -> Json {
        let name = key(name);
        self.until(&format!("update of {name} to {value:.100} by {owner:?}"), |log| {
            let is_it = |told: &&Json| {
                told["event"] == "update"
                    && key(&told["key"]) == name
                    && alike(&told["value"], value)
                    && owner.is_none_or(|owner| told["owner"] == owner)
            };
            log.iter().find(is_it).cloned()
        })
        .await
    }

    /// Waits until the last that it has told of this key is that it is deleted.
    pub(crate) async fn deletes(&mut self, name: &Json) {
        let name = key(name);
        self.until(&format!("deletion of {name}"), |log| {
            let is_of_key = |told: &&Json| !told["key"].is_null() && key(&told["key"]) == name;
            let last = log.iter().rev().find(is_of_key);
            last.is_some_and(|told| told["event"] == "delete").then_some(())
        })
        .await;
    }

    /// The end of a test in which nobody wrote messages: nothing has gone wrong in there, and its
    /// user was told nothing that is not for users.
    pub(crate) async fn finish_dictionary(self) {
        assert_eq!(self.heard().count(), 0, "{:?} was told what is not for users", self.kind);
        self.finish().await;
    }
}
