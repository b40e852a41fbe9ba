//! A folder goes to whoever has its link, even when the one who shared it has left.
//!
//! `cargo run --example share -- share FOLDER` tells an address and a link, which in another terminal
//! go behind `cargo run --example share -- fetch ADDRESS LINK PLACE`.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

// ANCHOR: share
use std::error::Error;
use std::net::SocketAddrV4;
use std::ops::ControlFlow;

use rs2p::bytestag::{DhtNode, Fetched, Magnet};

/// Serves a folder, and waits until other nodes have it where there are any.
async fn share(
    folder: &str,
    seed: Option<SocketAddrV4>,
) -> Result<(DhtNode, Magnet), Box<dyn Error>> {
    let node = DhtNode::builder().seeds(seed).start().await?;
    if seed.is_some() {
        node.joined().await?;
    }
    let shared = node.share(folder, |_| ControlFlow::Continue(())).await?;
    if seed.is_some() {
        node.published().await?;
    }
    Ok((node, shared.magnet))
}

/// Fetches what a link names, from all nodes that have parts of it.
async fn fetch(seed: SocketAddrV4, link: &str, to: &str) -> Result<Fetched, Box<dyn Error>> {
    let node = DhtNode::builder().start().await?;
    node.join([seed]).await?;
    let progress = |at: rs2p::bytestag::FetchProgress<'_>| {
        println!("{} of {} bytes, {}", at.bytes_done, at.bytes, at.path.display());
    };
    Ok(node.fetch(&link.parse()?, to, progress).await?)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["share", folder] => {
            let (node, link) = share(folder, None).await?;
            println!("{} '{link}'", node.address());
            node.machine().stopped().await;
        }
        ["fetch", seed, link, to] => {
            println!("{} is here", fetch(seed.parse()?, link, to).await?.path.display());
        }
        _ => println!("share FOLDER, or fetch ADDRESS LINK PLACE"),
    }
    Ok(())
}
// ANCHOR_END: share

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn a_folder_is_fetched_after_the_one_who_shared_it_has_left() {
        let place = std::env::temp_dir().join(format!("rs2p-share-{}", std::process::id()));
        let (folder, copy) = (place.join("folder"), place.join("copy"));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("letter"), "dear all").unwrap();
        let other = DhtNode::builder().start().await.unwrap();
        let all = async {
            let seed = other.address();
            let (node, link) = share(folder.to_str().unwrap(), Some(seed)).await.unwrap();
            node.close().await.unwrap();
            fetch(seed, &link.to_string(), copy.to_str().unwrap()).await.unwrap()
        };
        let fetched = tokio::time::timeout(Duration::from_secs(60), all).await.unwrap();
        let letter = std::fs::read_to_string(copy.join("letter"));
        std::fs::remove_dir_all(&place).unwrap();
        assert_eq!((fetched.size, letter.unwrap().as_str()), (8, "dear all"));
    }
}
