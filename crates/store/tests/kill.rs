//! A process that is killed while it writes loses nothing that it was told is durable.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use rs2p_store::{Changes, Store, Writer, WriterConfig};

const ROUNDS: u64 = 20;
const PARTS: u8 = 3;
const IN_FLIGHT: usize = 32;

/// Writes numbered batches, of three entries and a clock each, until it is killed.
#[test]
fn the_child_writes_until_it_is_killed() {
    let Ok(path) = std::env::var("RS2P_STORE_CHILD") else { return };
    println!("\nopening");
    let store = Arc::new(Store::open(path, "kill 1").unwrap());
    let first = store.len().unwrap() / u64::from(PARTS);
    let writer = Writer::start(store, WriterConfig::default()).unwrap();
    let mut tickets = VecDeque::new();
    for number in first.. {
        let mut changes = Changes::new();
        for part in 0..PARTS {
            changes.put(key(number, part), value(number, part));
        }
        changes.set_meta("clock", number.to_be_bytes());
        tickets.push_back((number, writer.submit_blocking(changes).unwrap()));
        if tickets.len() == IN_FLIGHT {
            let (number, ticket) = tickets.pop_front().unwrap();
            ticket.wait().unwrap();
            println!("durable {number}");
        }
    }
}

#[test]
fn every_acknowledged_entry_outlives_a_kill() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a");
    let mut batches = 0;
    for round in 0..ROUNDS {
        let mut child = start(&path);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut acknowledged = None;
        // Differs from round to round and from run to run; where in its work the child is then,
        // nobody knows.
        let enough = (round * 37 + u64::from(std::process::id())) % 400;
        let mut seen = 0;
        while seen <= enough {
            let line = lines.next().expect("the child ended by itself").unwrap();
            if let Some(number) = line.strip_prefix("durable ") {
                acknowledged = Some(number.parse::<u64>().unwrap());
                seen += 1;
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // A line that was cut by the kill is no acknowledgement.
        for line in lines.map_while(Result::ok) {
            let number = line.strip_prefix("durable ").and_then(|number| number.parse().ok());
            acknowledged = acknowledged.max(number.filter(|number| *number < batches + 100_000));
        }

        let store = Store::open(&path, "kill 1").unwrap();
        batches = check(&store);
        assert!(Some(batches) > acknowledged, "{batches} batches, {acknowledged:?} acknowledged");
        println!("round {round}: {batches} batches, {acknowledged:?} acknowledged");
    }
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing was set aside");
}

#[test]
fn a_kill_while_a_store_is_created_leaves_nothing_damaged() {
    let directory = tempfile::tempdir().unwrap();
    for round in 0..ROUNDS {
        let path = directory.path().join(round.to_string());
        let mut child = start(&path);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        while lines.next().expect("the child ended by itself").unwrap() != "opening" {}
        // Each round a little further into the creation.
        let length = [0, 1, 4097][usize::try_from(round % 3).unwrap()];
        while fs::metadata(&path).map_or(0, |file| file.len()) < length {
            assert!(child.try_wait().unwrap().is_none(), "the child ended by itself");
            std::thread::yield_now();
        }
        for _ in 0..round * 20 {
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let store = Store::open(&path, "kill 1").unwrap();
        check(&store);
    }
    assert_eq!(fs::read_dir(directory.path()).unwrap().count() as u64, ROUNDS);
}

fn start(path: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_child_writes_until_it_is_killed", "--nocapture"])
        .env("RS2P_STORE_CHILD", path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Whole batches only, from the first on without a gap. Tells how many.
fn check(store: &Store) -> u64 {
    let mut expected = (0_u64, 0_u8);
    store
        .entries(|found_key, found_value| {
            let (number, part) = expected;
            assert_eq!(found_key, key(number, part));
            assert_eq!(found_value, value(number, part));
            expected = if part + 1 == PARTS { (number + 1, 0) } else { (number, part + 1) };
        })
        .unwrap();
    let (batches, part) = expected;
    assert_eq!(part, 0, "batch {batches} is there in part");
    let clock = batches.checked_sub(1).map(|last| last.to_be_bytes().to_vec());
    assert_eq!(store.meta("clock").unwrap(), clock);
    batches
}

fn key(number: u64, part: u8) -> Vec<u8> {
    let mut key = number.to_be_bytes().to_vec();
    key.push(part);
    key
}

fn value(number: u64, part: u8) -> Vec<u8> {
    let length = (number * 31 + u64::from(part) * 7) % 300;
    (0..length).map(|index| (number + index).to_le_bytes()[0] ^ part).collect()
}
