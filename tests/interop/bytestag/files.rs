//! Files that go over to the other side.

use std::fs;
use std::ops::ControlFlow;

use rs2p::bytestag::{DhtNode, Magnet, ValueId};

use super::peer::theirs;
use super::{LIMIT, bytes, finish, keeps, ours, within};
use crate::run_within;

/// One part, one with a few bytes more, two parts, and three.
const FILES: [(&str, usize); 4] =
    [("one", 100_000), ("more", 262_150), ("two", 500_000), ("three", 700_000)];

#[test]
#[ignore = "cargo xtask interop runs it"]
fn a_file_that_they_publish_is_fetched_by_link_while_they_are_there_and_afterwards() {
    run_within(LIMIT, async {
        let directory = tempfile::tempdir().expect("a directory");
        let shared = directory.path().join("shared");
        fs::create_dir(&shared).expect("a directory");
        for (name, length) in FILES {
            fs::write(shared.join(name), bytes(length as u64, length)).expect("a file");
        }
        let node = ours([]).await;
        let mut old = theirs("client", Some(node.address())).await;
        let (files, values) = old.shares(shared.to_str().expect("text")).await;
        assert_eq!((files.len(), values), (4, 4 + 1 + 2 + 2 + 3));

        let early = ours([old.socket()]).await;
        fetch_all(&early, &files, &directory.path().join("early")).await;
        keeps(&node, values).await;
        old.is_well().await;
        old.kill().await;

        let late = ours([node.address()]).await;
        fetch_all(&late, &files, &directory.path().join("late")).await;
    });
}

/// Fetches files by what describes them, and compares each with one of those that were shared.
async fn fetch_all(node: &DhtNode, files: &[ValueId], into: &std::path::Path) {
    fs::create_dir(into).expect("a directory");
    let mut sizes = Vec::new();
    for (number, id) in files.iter().enumerate() {
        let magnet = Magnet::new(id.key).with_index(id.index);
        let path = into.join(number.to_string());
        let fetched = within(node.fetch(&magnet, &path, |_| {})).await.expect("it is there");
        let content = fs::read(&fetched.path).expect("a file");
        assert!(content == bytes(content.len() as u64, content.len()), "{}", content.len());
        sizes.push(content.len());
    }
    sizes.sort_unstable();
    assert_eq!(sizes, FILES.map(|(_, length)| length));
}

#[test]
#[ignore = "cargo xtask interop runs it"]
fn each_value_of_a_file_that_we_publish_is_with_them_and_they_get_it_from_us() {
    run_within(LIMIT, async {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("three.bin");
        fs::write(&path, bytes(3, 700_000)).expect("a file");
        let mut old = vec![theirs("memory", None).await];
        old.push(theirs("client", Some(old[0].socket())).await);
        let node = ours([old[0].socket()]).await;
        let shared = within(node.share(&path, |_| ControlFlow::Continue(()))).await;
        let shared = shared.expect("it is shared");
        within(node.published()).await.expect("it runs");

        let file = node.shared()[0].0.clone();
        let mut ids: Vec<_> =
            file.info().parts().iter().map(|part| ValueId { key: *part, index: *part }).collect();
        ids.push(file.info_id());
        for peer in &mut old {
            let kept: Vec<_> = peer.keeps().await.into_iter().map(|(id, _)| id).collect();
            for id in &ids {
                assert!(kept.contains(id));
                assert!(peer.finds(*id).await.contains(&node.id()));
                assert_eq!(peer.gets(*id, &node, 0).await.1, id.index);
            }
        }
        within(node.close()).await.expect("it runs");
        let reader = ours([old[0].socket()]).await;
        let to = directory.path().join("fetched");
        within(reader.fetch(&shared.magnet, &to, |_| {})).await.expect("it is there");
        assert!(fs::read(&to).expect("a file") == bytes(3, 700_000));
        finish(old).await;
    });
}
