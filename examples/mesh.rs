//! Three nodes in a row: a broadcast reaches the far end, and its answer finds the way back.
//!
//! `cargo run --example mesh`; with `serve`, a node that answers `ping` until it is stopped.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::time::Duration;

use rs2p::mesh::{MeshEvent, MeshSocket};
use tokio::time::timeout;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    if std::env::args().nth(1).as_deref() == Some("serve") {
        let node = MeshSocket::builder().start().await?;
        println!("listening on {}", node.address().ok_or("it listens")?);
        return serve(&node).await;
    }
    for line in timeout(Duration::from_secs(30), talk()).await?? {
        println!("{line}");
    }
    Ok(())
}

// ANCHOR: talk
/// What two of the nodes hear.
async fn talk() -> Result<[String; 2], Box<dyn Error>> {
    // Nodes of one subnet talk to each other. Each listens on a free port of this machine.
    let asker = MeshSocket::builder().subnet("example").start().await?;
    let middle = MeshSocket::builder().subnet("example").start().await?;
    let answerer = MeshSocket::builder().subnet("example").start().await?;

    // The node in the middle knows both ends; they learn of each other from it.
    asker.connect(middle.address().ok_or("it listens")?).await?;
    answerer.connect(middle.address().ok_or("it listens")?).await?;

    // A broadcast goes to everyone.
    let receipt = asker.send(["what is the answer?".into()]).await?;
    let question = answerer.recv().await?;
    assert_eq!(question.id(), receipt.id);

    // A reply goes to the author of a message, by a link of its own if need be.
    answerer.reply(&question, [42.into()]).await?;
    let answer = asker.recv().await?;
    Ok([
        format!("the far node hears {}", question.packets()[0]),
        format!("the asker hears {}", answer.packets()[0]),
    ])
}
// ANCHOR_END: talk

// ANCHOR: handler
/// A node that answers every question by itself, and tells who comes and goes.
async fn serve(node: &MeshSocket) -> Result<(), Box<dyn Error>> {
    node.on_message(
        |message| message.packets().first().and_then(|packet| packet.as_str()) == Some("ping"),
        |mesh, now, message| {
            // A failure shows in the node's status.
            let _ = mesh.reply(now, &message, ["pong".into()]);
        },
    )?;
    let mut events = node.events()?;
    loop {
        match events.recv().await? {
            MeshEvent::Connected(peer) => println!("{} has come", peer.id),
            MeshEvent::Disconnected { peer, reason } => println!("{peer} is gone: {reason}"),
            _ => {}
        }
    }
}
// ANCHOR_END: handler

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn question_and_answer_arrive() {
        let heard = timeout(Duration::from_secs(30), talk()).await.unwrap().unwrap();
        assert_eq!(heard, ["the far node hears \"what is the answer?\"", "the asker hears 42"]);
    }

    #[tokio::test]
    async fn the_handler_answers() {
        let server = MeshSocket::builder().start().await.unwrap();
        let client = MeshSocket::builder().start().await.unwrap();
        let serving = {
            let server = server.clone();
            tokio::spawn(async move { serve(&server).await.map_err(|error| error.to_string()) })
        };
        client.connect(server.address().unwrap()).await.unwrap();
        // Until the handler is registered, the question is an ordinary message.
        let answer = timeout(Duration::from_secs(30), async {
            loop {
                client.send(["ping".into()]).await.unwrap();
                if let Ok(answer) = timeout(Duration::from_millis(200), client.recv()).await {
                    return answer.unwrap();
                }
            }
        });
        assert_eq!(answer.await.unwrap().packets()[0].as_str(), Some("pong"));
        server.close().await;
        assert!(serving.await.unwrap().is_err());
    }
}
