//! Files that go from one node to another, by way of others.

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use rs2p_bytestag::{DhtConfig, DhtError, DhtNode, FetchError, Magnet};

use crate::{nodes, within};

/// Bytes that no two places of a test have in common.
fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_be_bytes()
    };
    std::iter::repeat_with(next).flatten().take(length).collect()
}

fn write(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_is_fetched_by_its_link_after_its_publisher_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let shared = directory.path().join("music");
    let files = [("a/long one.ogg", 1_500_000), ("b.txt", 1), ("c", 262_144), ("d", 600_000)];
    for (seed, (name, length)) in files.iter().enumerate() {
        write(&shared.join(name), &bytes(seed as u64, *length));
    }
    write(&shared.join("empty"), b"");

    let nodes = nodes(4).await;
    let link = within(nodes[1].share(&shared, |_| ControlFlow::Continue(()))).await.unwrap();
    assert_eq!(link.files.len(), 4);
    assert!(link.notes[0].to_string().contains("empty"));
    within(nodes[1].published()).await.unwrap();
    nodes[1].close().await.unwrap();

    let magnet: Magnet = link.magnet.to_string().parse().unwrap();
    let reader = DhtNode::builder().start().await.unwrap();
    reader.join([nodes[0].address()]).await.unwrap();
    let into = directory.path().join("fetched");
    fs::create_dir(&into).unwrap();
    let mut told = 0;
    let fetched = within(reader.fetch(&magnet, &into, |progress| {
        assert!(progress.bytes_done <= progress.bytes);
        told += 1;
    }))
    .await
    .unwrap();
    assert_eq!(fetched.path, into.join("music"));
    assert_eq!(fetched.size, files.iter().map(|(_, length)| *length as u64).sum::<u64>());
    assert!(told > 10);
    for (seed, (name, length)) in files.iter().enumerate() {
        let there = fs::read(into.join("music").join(name)).unwrap();
        assert!(there == bytes(seed as u64, *length), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_megabytes_go_through_twenty_nodes_without_their_publisher() {
    let directory = tempfile::tempdir().unwrap();
    let shared = directory.path().join("films");
    let lengths = [9 << 20, 7 << 20, 3 << 20, (1 << 20) - 1, 1];
    for (seed, length) in lengths.into_iter().enumerate() {
        write(&shared.join(format!("part {seed}.film")), &bytes(100 + seed as u64, length));
    }
    // Copies on four nodes each are enough to show the way, and a fifth of the work.
    let config = DhtConfig { copies: 4, ..DhtConfig::default() };
    let nodes = crate::nodes_with(20, &config).await;
    let link = within(nodes[7].share(&shared, |_| ControlFlow::Continue(()))).await.unwrap();
    within(nodes[7].published()).await.unwrap();
    nodes[7].close().await.unwrap();

    let into = directory.path().join("fetched");
    let fetched = within(nodes[13].fetch(&link.magnet, &into, |_| {})).await.unwrap();
    assert_eq!(fetched.size, lengths.iter().sum::<usize>() as u64);
    for (seed, length) in lengths.into_iter().enumerate() {
        let there = fs::read(into.join(format!("part {seed}.film"))).unwrap();
        assert!(there == bytes(100 + seed as u64, length), "file {seed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_file_is_fetched_under_a_name_of_its_own_and_by_a_bare_link() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("one.bin");
    write(&path, &bytes(9, 300_000));
    let nodes = nodes(2).await;
    let link = within(nodes[0].share(&path, |_| ControlFlow::Continue(()))).await.unwrap();
    within(nodes[0].published()).await.unwrap();

    let bare = Magnet::new(link.files[0].0.key());
    let to = directory.path().join("two.bin");
    let fetched = within(nodes[1].fetch(&bare, &to, |_| {})).await.unwrap();
    assert_eq!(fetched.path, to);
    assert!(fs::read(&to).unwrap() == bytes(9, 300_000));

    let again = within(nodes[1].fetch(&bare, &to, |_| {})).await.unwrap();
    assert_eq!(again, fetched);
    write(&to, b"something else");
    let refused = within(nodes[1].fetch(&bare, &to, |_| {})).await;
    assert!(matches!(refused, Err(FetchError::Occupied { .. })));
    assert_eq!(fs::read(&to).unwrap(), b"something else");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_goes_on_from_what_an_earlier_one_left() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("one.bin");
    let content = bytes(3, 5 * 262_144 + 17);
    write(&path, &content);
    let nodes = nodes(2).await;
    let link = within(nodes[0].share(&path, |_| ControlFlow::Continue(()))).await.unwrap();
    within(nodes[0].published()).await.unwrap();

    let to = directory.path().join("two.bin");
    let mut left = content.clone();
    left[262_144 * 2 + 5] ^= 1;
    left.truncate(262_144 * 5);
    write(&directory.path().join("two.bin.bytestag-incomplete"), &left);
    let mut first = None;
    within(nodes[1].fetch(&link.magnet, &to, |progress| {
        first.get_or_insert(progress.bytes_done);
    }))
    .await
    .unwrap();
    assert_eq!(first, Some(4 * 262_144));
    assert!(fs::read(&to).unwrap() == content);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_goes_on_in_the_directory_that_an_earlier_fetch_made() {
    let directory = tempfile::tempdir().unwrap();
    let shared = directory.path().join("photos");
    write(&shared.join("a.jpg"), &bytes(1, 300_000));
    write(&shared.join("b.jpg"), &bytes(2, 10));
    let nodes = nodes(2).await;
    let link = within(nodes[0].share(&shared, |_| ControlFlow::Continue(()))).await.unwrap();
    let to = directory.path().join("mine");
    write(&to.join("a.jpg.bytestag-incomplete"), &bytes(1, 262_144));
    let fetched = within(nodes[1].fetch(&link.magnet, &to, |_| {})).await.unwrap();
    assert_eq!(fetched.path, to);
    assert!(fs::read(to.join("a.jpg")).unwrap() == bytes(1, 300_000));
    assert!(fs::read(to.join("b.jpg")).unwrap() == bytes(2, 10));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_shared_before_anybody_is_known_goes_out_when_somebody_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("early.bin");
    write(&path, &bytes(4, 1_000));
    let early = DhtNode::builder().start().await.unwrap();
    let link = within(early.share(&path, |_| ControlFlow::Continue(()))).await.unwrap();
    assert!(early.put("early").await.is_err());
    let late = DhtNode::builder().start().await.unwrap();
    late.join([early.address()]).await.unwrap();
    within(early.published()).await.unwrap();
    early.close().await.unwrap();
    let to = directory.path().join("late.bin");
    within(late.fetch(&link.magnet, &to, |_| {})).await.unwrap();
    assert!(fs::read(&to).unwrap() == bytes(4, 1_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_to_nothing_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let nodes = nodes(2).await;
    let magnet = Magnet::new(rs2p_bytestag::ValueId::of(b"nothing").key);
    let fetched = within(nodes[0].fetch(&magnet, directory.path(), |_| {})).await;
    assert!(matches!(fetched, Err(FetchError::Node(DhtError::Get(_)))), "{fetched:?}");
}
