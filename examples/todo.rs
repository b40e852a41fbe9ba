//! A to-do list that belongs to all who are in its network.
//!
//! `cargo run --example todo` tells its address, which in another terminal goes behind
//! `cargo run --example todo --`. Type `add buy milk`, or `done buy milk`.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

// ANCHOR: todo
use std::error::Error;

use rs2p::base::Endpoint;
use rs2p::base::net::Stopped;
use rs2p::sync::{SyncError, SyncEvent, SyncSocket};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let list = open(std::env::args().nth(1).map(|address| address.parse()).transpose()?).await?;
    println!("this list is at {}", list.address().ok_or("it listens")?);
    tokio::spawn(show(list.clone()));
    for line in std::io::stdin().lines() {
        if let Err(error) = act(&list, &line?).await {
            println!("{error}");
        }
    }
    Ok(list.close().await?)
}

/// Everyone may change everything: the latest change stays.
async fn open(seed: Option<Endpoint>) -> Result<SyncSocket, Box<dyn Error>> {
    Ok(SyncSocket::builder().subnet("todo").leasing(false).seeds(seed).start().await?)
}

async fn act(list: &SyncSocket, line: &str) -> Result<(), SyncError> {
    match line.split_once(' ') {
        Some(("add", item)) => list.set(item, "to do").await,
        Some(("done", item)) => list.set(item, "done").await,
        Some(("drop", item)) => list.del(item).await,
        _ => {
            println!("add ITEM, done ITEM, or drop ITEM");
            Ok(())
        }
    }
}

async fn show(list: SyncSocket) -> Result<(), Stopped> {
    let mut events = list.events()?;
    while let Ok(event) = events.recv().await {
        if let SyncEvent::Update { key, value, .. } = event {
            println!("{}: {value}", String::from_utf8_lossy(&key));
        }
    }
    Ok(())
}
// ANCHOR_END: todo

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn what_one_adds_another_may_tick_off_and_a_third_may_drop() {
        let one = open(None).await.unwrap();
        let seed = one.address().map(Into::into);
        let (two, three) = (open(seed.clone()).await.unwrap(), open(seed).await.unwrap());
        let becomes = async |list: &SyncSocket, state: Option<&str>| {
            let wanted = state.map(Into::into);
            let look = list.wait_for(|list| {
                (list.get("buy milk").map(|held| (**held).clone()) == wanted).then_some(())
            });
            tokio::time::timeout(Duration::from_secs(30), look).await.unwrap().unwrap();
        };
        act(&one, "add buy milk").await.unwrap();
        becomes(&two, Some("to do")).await;
        act(&two, "done buy milk").await.unwrap();
        becomes(&three, Some("done")).await;
        act(&three, "drop buy milk").await.unwrap();
        becomes(&one, None).await;
        assert!(act(&three, "drop buy milk").await.is_err(), "it is gone");
    }
}
