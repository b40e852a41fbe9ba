//! Two nodes hold one dictionary: leases, changes to maps, deletions, and a file.
//!
//! `cargo run --example sync`
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use rs2p::sync::{SyncError, SyncEvent, SyncSocket};
use rs2p::wire::Value;
use tokio::time::timeout;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    for line in timeout(Duration::from_secs(30), all()).await?? {
        println!("{line}");
    }
    Ok(())
}

async fn all() -> Result<Vec<String>, Box<dyn Error>> {
    let nodes = share().await?;
    let mut lines = lease(&nodes).await?;
    lines.extend(change(&nodes).await?);
    let directory = std::env::temp_dir().join(format!("rs2p-sync-{}", std::process::id()));
    std::fs::create_dir_all(&directory)?;
    let kept = keep(&directory.join("colours")).await;
    std::fs::remove_dir_all(&directory)?;
    lines.push(kept?);
    Ok(lines)
}

// ANCHOR: share
/// What one node writes, the other one has.
async fn share() -> Result<[SyncSocket; 2], Box<dyn Error>> {
    let one = SyncSocket::builder().subnet("example").id("ada".parse()?).start().await?;
    let two = SyncSocket::builder().subnet("example").id("bob".parse()?).start().await?;
    two.connect(one.address().ok_or("it listens")?).await?;

    let mut events = two.events()?;
    one.set("colour", "green").await?;
    while !matches!(events.recv().await?, SyncEvent::Update { .. }) {}
    assert_eq!(two.get_or("colour", "none")?.as_str(), Some("green"));
    Ok([one, two])
}
// ANCHOR_END: share

// ANCHOR: lease
/// Who has written a key keeps it for a while.
async fn lease([one, two]: &[SyncSocket; 2]) -> Result<Vec<String>, Box<dyn Error>> {
    let Err(SyncError::Write(refusal)) = two.set("colour", "red").await else {
        return Err("the key is leased".into());
    };

    // A lease of ten seconds, and a day more for a value that stays as it is.
    one.set_for("door", "open", Duration::from_secs(10)).await?;
    one.renew("colour", Duration::from_secs(24 * 3_600)).await?;

    let entry = one.entry("colour")?.ok_or("it is set")?;
    let (owner, end) = (entry.meta.owner, entry.meta.lease_end.ok_or("it is leased")?);
    Ok(vec![format!("refused: {refusal}"), format!("{owner} has it until {end}")])
}
// ANCHOR_END: lease

// ANCHOR: change
/// Entries of a map change one by one; what is deleted is deleted everywhere.
async fn change([one, two]: &[SyncSocket; 2]) -> Result<Vec<String>, Box<dyn Error>> {
    let mut events = two.events()?;
    one.set("lovelace", Value::Map(vec![("born".into(), 1815.into())])).await?;
    let whole = one.apply_delta("lovelace", [("died".into(), 1852.into())]).await?;
    one.del("lovelace").await?;

    let mut heard = vec![format!("the whole map is {whole}")];
    loop {
        match events.recv().await? {
            SyncEvent::Update { key, value, .. } if key == "lovelace" => {
                heard.push(format!("two hears {value}"))
            }
            SyncEvent::Delete { .. } => return Ok(heard),
            _ => {}
        }
    }
}
// ANCHOR_END: change

// ANCHOR: keep
/// A node comes back as the one that it was.
async fn keep(path: &Path) -> Result<String, Box<dyn Error>> {
    let node = SyncSocket::builder().store(path).start().await?;
    node.set("colour", "green").await?; // on the disk when this returns
    let id = node.id();
    node.close().await?;

    let node = SyncSocket::builder().store(path).start().await?;
    assert_eq!(node.id(), id);
    node.set("colour", "blue").await?; // the lease is still its own
    Ok(format!("kept: {}", node.get_or("colour", "none")?))
}
// ANCHOR_END: keep

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_other_node_is_refused_hears_all_changes_and_the_file_is_read() {
        let lines = timeout(Duration::from_secs(30), all()).await.unwrap().unwrap();
        assert!(lines[0].starts_with("refused: \"colour\" is leased to ada until "), "{lines:?}");
        assert_eq!(
            lines[2..],
            [
                r#"the whole map is {"born": 1815, "died": 1852}"#,
                r#"two hears {"born": 1815}"#,
                r#"two hears {"born": 1815, "died": 1852}"#,
                r#"kept: "blue""#,
            ]
        );
    }

    // ANCHOR: test
    use rs2p::mesh::Birth;
    use rs2p::sync::{Sync, SyncConfig};
    use rs2p_simnet::{Effect, Fidelity, Network, NodeSet, Rule, Sim};

    #[test]
    fn two_halves_that_wrote_apart_agree_once_they_meet() {
        const SECOND: u64 = 1_000_000;
        let mut sim = Sim::new(1, Network::default(), Fidelity::Messages);
        for _ in 0..10 {
            sim.join(|address, seed, first| {
                let birth = Birth::new("sync1", address, seed).seeds(first);
                Sync::new(birth, SyncConfig::default())
            });
        }
        sim.run_for(30 * SECOND);

        let half: NodeSet = sim.nodes().take(5).collect();
        let (from, to, effect) = (half.others(), half.clone(), Effect::Block);
        let one_way = sim.add_rule(Rule { from, to, effect });
        let (from, to) = (half.clone(), half.others());
        let other_way = sim.add_rule(Rule { from, to, effect });
        for (number, node) in sim.nodes().enumerate() {
            sim.call(node, |sync, now| sync.set(now, "colour", number)).unwrap().unwrap();
        }
        sim.run_for(300 * SECOND);

        let agree = |sim: &Sim<Sync>| {
            let mut colours = sim.nodes().map(|node| sim.machine(node)?.get("colour"));
            let first = colours.next();
            colours.all(|colour| Some(colour) == first)
        };
        assert!(!agree(&sim));
        assert!(sim.remove_rule(one_way) > 0 && sim.remove_rule(other_way) > 0);
        assert!(sim.wait_for(600 * SECOND, agree));
    }
    // ANCHOR_END: test
}
