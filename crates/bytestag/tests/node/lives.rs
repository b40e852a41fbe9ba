//! Nodes that stop and come back.

use std::fs;
use std::ops::ControlFlow;

use rs2p_bytestag::DhtNode;

use crate::{nodes, within};

#[tokio::test(flavor = "multi_thread")]
async fn a_node_comes_back_with_its_id_its_values_and_what_it_shares() {
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("node.store");
    let shared = directory.path().join("shared.bin");
    fs::write(&shared, vec![7; 400_000]).unwrap();
    let others = nodes(2).await;

    let node = DhtNode::builder().store(&store).start().await.unwrap();
    node.join([others[0].address()]).await.unwrap();
    let (own, _) = within(node.put("mine")).await.unwrap();
    let (foreign, copies) = within(others[1].put("theirs")).await.unwrap();
    assert_eq!(copies.stored, 2);
    within(node.share(&shared, |_| ControlFlow::Continue(()))).await.unwrap();
    let (id, files) = (node.id(), node.shared());
    node.close().await.unwrap();
    drop(node);

    let node = within(async {
        // The file is free once the last handle's tasks are gone.
        loop {
            match DhtNode::builder().store(&store).start().await {
                Ok(node) => return node,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    })
    .await;
    assert_eq!(node.id(), id);
    within(node.joined()).await.unwrap();
    assert_eq!(node.get(own.key, Some(own.index)).await.unwrap().from, None);
    assert_eq!(node.get(foreign.key, Some(foreign.index)).await.unwrap().from, None);
    let again: Vec<_> = node.shared().into_iter().map(|(file, _)| file.key()).collect();
    assert_eq!(again, files.into_iter().map(|(file, _)| file.key()).collect::<Vec<_>>());
    within(node.published()).await.unwrap();
    let part = files_part(&node);
    let got = within(others[0].get(part, Some(part))).await.unwrap();
    assert_eq!(got.value.len(), 262_144);
}

fn files_part(node: &DhtNode) -> rs2p_bytestag::Key {
    node.shared()[0].0.info().parts()[0]
}
