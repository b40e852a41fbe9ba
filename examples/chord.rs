//! Three nodes share a phone book; one of them leaves, and nothing is lost.
//!
//! `cargo run --example chord`
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::time::Duration;

use rs2p::chord::{ChordError, ChordEvent, ChordSocket, Path, ReadError, WriteError};
use rs2p::wire::Value;
use tokio::time::timeout;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    for line in timeout(Duration::from_secs(60), all()).await?? {
        println!("{line}");
    }
    Ok(())
}

async fn all() -> Result<Vec<String>, Box<dyn Error>> {
    let nodes = share().await?;
    let mut lines = change(&nodes).await?;
    lines.extend(list(&nodes).await?);
    lines.extend(explain(&nodes).await?);
    lines.push(leave(&nodes).await?);
    lines.push(leech(&nodes).await?);
    let directory = std::env::temp_dir().join(format!("rs2p-chord-{}", std::process::id()));
    std::fs::create_dir_all(&directory)?;
    let kept = keep(&directory.join("phones")).await;
    std::fs::remove_dir_all(&directory)?;
    lines.push(kept?);
    Ok(lines)
}

// ANCHOR: share
/// What one node sets, every other one finds.
async fn share() -> Result<[ChordSocket; 3], Box<dyn Error>> {
    let ada = ChordSocket::builder().subnet("phone book").start().await?;
    let seed = ada.address().ok_or("it listens")?;
    let bob = ChordSocket::builder().subnet("phone book").seeds([seed.into()]).start().await?;
    let eve = ChordSocket::builder().subnet("phone book").seeds([seed.into()]).start().await?;
    for node in [&ada, &bob, &eve] {
        node.joined().await?;
    }

    ada.set("ada", "555 0100").await?;
    assert_eq!(eve.get("ada").await?, Some("555 0100".into()));
    Ok([ada, bob, eve])
}
// ANCHOR_END: share

// ANCHOR: change
/// Writes of all kinds, and what may go wrong.
async fn change([ada, bob, eve]: &[ChordSocket; 3]) -> Result<Vec<String>, Box<dyn Error>> {
    ada.update([("bob", "555 0101"), ("eve", "555 0102"), ("mallory", "555 0199")]).await?;
    let number = bob.pop("mallory").await?;
    bob.set("lovelace", Value::Map(vec![("born".into(), 1815.into())])).await?;
    let whole = eve.apply_delta("lovelace", [("died".into(), 1852.into())]).await?;
    eve.del("lovelace").await?;

    let nobody = ada.get_or("nobody", "not in the book").await?;
    let Err(ChordError::Write(absent @ WriteError::Absent)) = ada.del("nobody").await else {
        return Err("there is no such key".into());
    };
    Ok(vec![
        format!("popped {number}"),
        format!("the whole map is {whole}"),
        format!("{nobody}; deleting it: {absent}"),
    ])
}
// ANCHOR_END: change

// ANCHOR: list
/// Walks over all keys, and those that come meanwhile.
async fn list([ada, bob, eve]: &[ChordSocket; 3]) -> Result<Vec<String>, Box<dyn Error>> {
    let mut events = ada.events()?;
    eve.set("carol", "555 0103").await?;
    while !matches!(events.recv().await?, ChordEvent::Add { key } if key == "carol") {}

    let mut items = ada.items();
    let mut lines = Vec::new();
    while let Some(item) = items.next().await {
        let (key, number) = item?;
        lines.push(format!("{}: {number}", String::from_utf8_lossy(&key)));
    }
    lines.sort();

    let (key, number) = bob.popitem().await?.ok_or("there are some")?;
    bob.set(key, number).await?;
    Ok(lines)
}
// ANCHOR_END: list

// ANCHOR: explain
/// Which nodes a key's five tables are looked up by, this one first and the owner last.
async fn explain([ada, ..]: &[ChordSocket; 3]) -> Result<Vec<String>, Box<dyn Error>> {
    let paths = ada.explain("carol").await?;
    let line = |path: &Path| {
        let hops: Vec<String> = path.hops.iter().map(|id| format!("{id:.8}")).collect();
        format!("{:<6} {:.8} by {}", path.table, path.position, hops.join(" > "))
    };
    Ok(paths.iter().map(line).collect())
}
// ANCHOR_END: explain

// ANCHOR: leave
/// Who leaves hands over what it has; who is just gone leaves copies.
async fn leave([ada, bob, eve]: &[ChordSocket; 3]) -> Result<String, Box<dyn Error>> {
    let lost = eve.unjoin().await?;
    assert_eq!(eve.get("carol").await?, Some("555 0103".into())); // it uses the network still
    bob.close().await?;
    assert_eq!(ada.get("carol").await?, Some("555 0103".into()));
    Ok(format!("{lost} records lost"))
}
// ANCHOR_END: leave

// ANCHOR: leech
/// A node that stores nothing reads and writes all the same, as long as somebody stores.
async fn leech([ada, ..]: &[ChordSocket; 3]) -> Result<String, Box<dyn Error>> {
    let guest = ChordSocket::builder().subnet("phone book").joins(false).start().await?;
    let refused = guest.get_within("carol", Duration::from_millis(200)).await;
    let Err(ChordError::Read(error @ ReadError::NobodyStores)) = refused else {
        return Err("it knows nobody".into());
    };

    guest.connect(ada.address().ok_or("it listens")?).await?;
    assert_eq!(guest.get("carol").await?, Some("555 0103".into()));
    guest.join().await?; // from now on it stores, too
    Ok(error.to_string())
}
// ANCHOR_END: leech

// ANCHOR: keep
/// A node comes back with its id and its records.
async fn keep(file: &std::path::Path) -> Result<String, Box<dyn Error>> {
    let node = ChordSocket::builder().store(file).start().await?;
    node.set("carol", "555 0103").await?;
    let place = node.ring_position();
    node.close().await?; // what it has is on the disk

    let node = ChordSocket::builder().store(file).start().await?;
    assert_eq!(node.ring_position(), place);
    Ok(format!("kept: {}", node.get_or("carol", "nothing").await?))
}
// ANCHOR_END: keep

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_set_is_found_when_one_has_left_and_another_is_gone() {
        let lines = timeout(Duration::from_secs(60), all()).await.unwrap().unwrap();
        assert_eq!(
            lines[..7],
            [
                r#"popped "555 0199""#,
                r#"the whole map is {"born": 1815, "died": 1852}"#,
                r#""not in the book"; deleting it: there is no such key"#,
                r#"ada: "555 0100""#,
                r#"bob: "555 0101""#,
                r#"carol: "555 0103""#,
                r#"eve: "555 0102""#,
            ]
        );
        assert!(lines[7].starts_with("sha1 ") && lines[7].contains(" by "), "{lines:?}");
        assert_eq!(
            lines[12..],
            [
                "0 records lost",
                "nobody stores anything: join, or connect to a node that has joined",
                r#"kept: "555 0103""#,
            ]
        );
    }

    // ANCHOR: test
    use rs2p::chord::{Chord, ChordConfig};
    use rs2p::mesh::Birth;
    use rs2p_simnet::{Crash, Network, NodeIndex, Sim};

    #[test]
    fn a_third_of_a_ring_dies_at_once_and_nothing_is_lost() {
        const SECOND: u64 = 1_000_000;
        let mut sim = Sim::new(1, Network::default(), rs2p_simnet::Fidelity::Messages);
        for _ in 0..60 {
            sim.join(|address, seed, first| {
                let birth = Birth::new("chord", address, seed).seeds(first);
                Chord::new(birth, ChordConfig::default())
            });
        }
        sim.run_for(60 * SECOND);
        let writer = NodeIndex(0);
        for number in 0..100u64 {
            let key = format!("key {number}");
            sim.call(writer, |chord, now| chord.set(now, key, &number.into())).unwrap().unwrap();
        }
        sim.run_for(10 * SECOND);

        for node in sim.nodes().skip(1).step_by(3).collect::<Vec<_>>() {
            sim.crash(node, Crash::Host);
        }
        for number in 0..100u64 {
            let key = format!("key {number}");
            sim.call(writer, |chord, now| chord.get(now, key)).unwrap().unwrap();
        }
        let mut found = 0;
        let end = sim.elapsed_micros() + 10 * SECOND;
        while let Some((_, event)) = sim.next_event(end) {
            if let ChordEvent::Read { result, .. } = event {
                assert!(result.unwrap().is_some());
                found += 1;
            }
        }
        assert_eq!(found, 100);
    }
    // ANCHOR_END: test
}
