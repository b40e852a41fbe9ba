//! Sends a frame from one program to another, with nothing but rs2p-wire and a TCP stream.
//!
//!     cargo run --example frames -- listen 127.0.0.1:4444        # in one terminal
//!     cargo run --example frames -- send 127.0.0.1:4444 hello    # in another
//!
//! Without arguments both play in one process.

#![expect(clippy::print_stdout, reason = "an example shows what happens")]

use std::error::Error;
use std::time::SystemTime;

use futures_util::{SinkExt as _, StreamExt as _};
use rs2p_wire::{FrameCodec, IdForm, Limits, MainFlag, Message, SubFlag, Value};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::codec::Framed;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => both().await,
        ["listen", address] => listen(TcpListener::bind(address).await?).await.map(drop),
        ["send", address, text] => send(address, text).await,
        _ => Err("usage: frames [listen HOST:PORT | send HOST:PORT TEXT]".into()),
    }
}

// ANCHOR: send
/// Connects, and sends one message with `text` in it.
async fn send(address: &str, text: &str) -> Result<(), Box<dyn Error>> {
    let limits = Limits::default();
    let payload = [SubFlag::Whisper.into(), Value::from(text)];
    let message =
        Message::encode(MainFlag::Whisper, IdForm::Bin, "2sei", now()?, &payload, &limits)?;

    let stream = TcpStream::connect(address).await?;
    let mut link = Framed::new(stream, FrameCodec::new(limits));
    link.send(&message).await?;
    println!("sent     {}", message.id());
    Ok(())
}
// ANCHOR_END: send

// ANCHOR: listen
/// Waits for one connection, and prints its messages until it ends. Returns their texts.
async fn listen(listener: TcpListener) -> Result<Vec<String>, Box<dyn Error>> {
    let limits = Limits::default();
    let (stream, _) = listener.accept().await?;
    let mut link = Framed::new(stream, FrameCodec::new(limits));

    let mut texts = Vec::new();
    while let Some(item) = link.next().await {
        let message = item??;
        println!("received {}", message.id());
        for packet in message.payload(&limits)?.iter().skip(1) {
            println!("         {packet}");
            texts.extend(packet.as_str().map(str::to_owned));
        }
    }
    Ok(texts)
}
// ANCHOR_END: listen

/// Seconds since the Unix epoch, which the wire carries.
#[expect(clippy::disallowed_methods, reason = "a program, unlike a machine, has a clock")]
fn now() -> Result<u64, Box<dyn Error>> {
    Ok(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs())
}

/// The listener on a free port, and the sender.
async fn both() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    let (texts, ()) = tokio::try_join!(listen(listener), send(&address, "hello"))?;
    if texts == ["hello"] { Ok(()) } else { Err(format!("received {texts:?}").into()) }
}

#[cfg(test)]
mod tests {
    #[tokio::test]
    async fn one_program_receives_what_the_other_sends() {
        super::both().await.unwrap();
    }
}
