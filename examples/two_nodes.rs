//! Two nodes on this machine exchange a message: a layer of one's own on `rs2p-base` alone.
//!
//! `cargo run --example two_nodes`
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use rs2p::base::net::{Node, NodeBuilder, Tcp};
use rs2p::base::{
    Endpoint, Fanout, Layer, LinkConfig, LinkEvent, Links, LocalNode, NodeId, Protocol, Stack, Time,
};
use rs2p::wire::{IdForm, MainFlag, Message, SubFlag, Value};

/// A protocol without I/O: greets each peer once, and tells what peers say.
struct Greeter {
    stack: Stack<Links, String>,
}

impl Greeter {
    fn new(name: &str) -> Self {
        let protocol = Protocol::new("greetings", "Plaintext");
        let id = NodeId::derive(name, &protocol.id(), "any text that nobody else has");
        let local = LocalNode::new(id, &protocol, None, LinkConfig::default());
        Self { stack: Stack::new(Links::new(Arc::new(local))) }
    }

    fn dial(&mut self, now: Time, to: Endpoint) {
        self.stack.below.dial(to, None);
        self.settle(now);
    }
}

impl Layer for Greeter {
    rs2p::base::stack!(stack: Stack<Links, String>);

    fn on_event(&mut self, now: Time, event: LinkEvent) {
        let links = &mut self.stack.below;
        let local = links.local().clone();
        let limits = &local.config().limits;
        match event {
            LinkEvent::Established { link } => {
                let said = [SubFlag::Whisper.into(), Value::from("hello")];
                let (id, time) = (local.id_text(), now.as_secs());
                let whisper =
                    Message::encode(MainFlag::Whisper, IdForm::Bin, id, time, &said, limits);
                if let Ok(whisper) = whisper {
                    links.send(now, link, &mut Fanout::new(whisper));
                }
            }
            LinkEvent::Message { message, .. } => {
                let sender = String::from_utf8_lossy(message.sender());
                let said = message.payload(limits).unwrap_or_default();
                self.stack.tell(format!("{sender} says {}", Value::Array(said)));
            }
            _ => {}
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    for line in exchange().await? {
        println!("{line}");
    }
    Ok(())
}

/// Two nodes on free ports; what each of them hears.
async fn exchange() -> Result<[String; 2], Box<dyn Error>> {
    let mut listening = NodeBuilder::new(Tcp);
    let address = listening.listen("127.0.0.1:0".parse()?).await?;
    let one = listening.start(Greeter::new("one"));
    let two: Node<Greeter> = NodeBuilder::new(Tcp).start(Greeter::new("two"));
    let (mut heard_by_one, mut heard_by_two) = (one.events()?, two.events()?);

    two.call(|greeter, now| greeter.dial(now, address.into()))?;

    let deadline = Duration::from_secs(10);
    let first = tokio::time::timeout(deadline, heard_by_one.recv()).await??;
    let second = tokio::time::timeout(deadline, heard_by_two.recv()).await??;
    one.shutdown().await;
    two.shutdown().await;
    Ok([format!("one hears: {first}"), format!("two hears: {second}")])
}

#[cfg(test)]
mod tests {
    #[tokio::test]
    async fn each_hears_the_other() {
        let heard = super::exchange().await.unwrap();
        assert!(heard.iter().all(|line| line.contains("says [2, \"hello\"]")), "{heard:?}");
    }
}
