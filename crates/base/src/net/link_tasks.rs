//! The two tasks of a link: one reads, one writes.
//!
//! Framing, hashing and compression happen here, not under the lock of the machine.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::BytesMut;
use rs2p_wire::{Compression, FrameError, Message, RawFrame};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use super::driver::Driver;
use super::send_queue::{Queued, SendQueue};
use crate::machine::{CloseReason, Input, LinkId, Machine};

type Reader = Box<dyn AsyncRead + Send + Unpin>;
type Writer = Box<dyn AsyncWrite + Send + Unpin>;

/// Most that is read, or gathered into one write, at a time.
const CHUNK: usize = 64 << 10;
/// A larger frame leaves in parts of this size, so that its peer is seen to read.
const PART: usize = 256 << 10;
/// How often the machine hears of a peer that sends nothing whole, or nothing new.
const HEARD_EVERY: Duration = Duration::from_secs(1);
/// A read of so much is probably followed by more.
const BULK: usize = CHUNK / 4;

pub(super) struct LinkTask<M: Machine> {
    pub(super) link: LinkId,
    pub(super) driver: Arc<Driver<M>>,
    pub(super) queue: Arc<SendQueue>,
    /// Held for as long as the stream is, where the peer opened it.
    pub(super) door: Option<OwnedSemaphorePermit>,
}

/// The reading and the writing task of a link.
pub(super) fn run<M>(
    task: LinkTask<M>,
    reader: Reader,
    writer: Writer,
) -> (impl Future<Output = ()> + Send + 'static, impl Future<Output = ()> + Send + 'static)
where
    M: Machine + Send + 'static,
    M::Event: Clone + Send + 'static,
{
    let LinkTask { link, driver, queue, door } = task;
    let read = Inbound { link, driver: driver.clone(), queue: queue.clone(), reader, _door: door };
    let write = Outbound { link, driver, queue, writer };
    (read.run(), write.run())
}

struct Inbound<M: Machine> {
    link: LinkId,
    driver: Arc<Driver<M>>,
    queue: Arc<SendQueue>,
    reader: Reader,
    _door: Option<OwnedSemaphorePermit>,
}

impl<M> Inbound<M>
where
    M: Machine + Send + 'static,
    M::Event: Clone + Send + 'static,
{
    async fn run(mut self) {
        let queue = self.queue.clone();
        let reason = tokio::select! {
            biased;
            () = queue.closed() => None,
            reason = self.read() => Some(reason),
        };
        if let Some(reason) = reason {
            self.driver.lost(self.link, reason);
        }
        // A socket that is closed with bytes unread resets the connection, and the peer may lose
        // what was sent to it last.
        let linger = self.driver.config.linger;
        let too_late = async {
            queue.finished().await;
            tokio::time::sleep(linger).await;
        };
        let end = async {
            tokio::select! {
                () = discard(&mut self.reader) => {}
                () = too_late => {}
            }
        };
        Box::pin(end).await;
    }

    /// Reads until the link is of no more use.
    async fn read(&mut self) -> CloseReason {
        let mut buffer = BytesMut::new();
        let mut heard = self.driver.clock.now();
        loop {
            while self.driver.is_congested() {
                // Boxed, as is what else hardly ever happens: every link's task would set room aside.
                Box::pin(self.driver.wait_for_room()).await;
            }
            let is_idle = buffer.is_empty();
            let read = fill(&mut self.reader, &mut buffer);
            let read = if is_idle {
                read.await
            } else {
                let stall = self.driver.config.stall;
                match Box::pin(timeout(stall, read)).await {
                    Ok(read) => read,
                    Err(_) => return CloseReason::Stalled { seconds: stall.as_secs() },
                }
            };
            let length = match read {
                Ok(0) if buffer.is_empty() => return CloseReason::PeerClosed,
                Ok(0) => return CloseReason::PeerClosedInFrame { bytes: buffer.len() },
                Ok(length) => length,
                Err(error) => return CloseReason::Io(error.to_string().into()),
            };
            match self.take_frames(&mut buffer).await {
                Ok(true) => {}
                Ok(false) => {
                    let now = self.driver.clock.now();
                    if now.since(heard) >= HEARD_EVERY {
                        heard = now;
                        self.driver.input(Input::Heard { link: self.link });
                    }
                }
                Err(error) => return error.into(),
            }
            make_room(&mut buffer, length);
        }
    }

    /// Hands all whole frames in the buffer to the machine, those before a bad one included, and
    /// tells whether there were any.
    async fn take_frames(&mut self, buffer: &mut BytesMut) -> Result<bool, FrameError> {
        let limits = &self.driver.config.limits;
        let mut end = Ok(());
        let mut raw_frames = Vec::new();
        loop {
            match RawFrame::split_from(buffer, limits) {
                Ok(Some(raw)) => raw_frames.push(raw),
                Ok(None) => break,
                Err(error) => {
                    end = Err(error);
                    break;
                }
            }
        }
        let frames = raw_frames.len() as u64;
        if frames == 0 {
            return end.map(|()| false);
        }
        let bytes = raw_frames.iter().map(|raw| raw.wire_len() as u64).sum();
        self.driver.with(|state, _| {
            raw_frames.retain(|raw| !state.machine.is_duplicate(&raw.claimed_id()));
        });
        let duplicates = frames - raw_frames.len() as u64;
        let mut malformed = 0;
        let mut inputs = Vec::with_capacity(raw_frames.len());
        let link = self.link;
        for raw in raw_frames {
            match raw.verify(Compression::AVAILABLE, limits) {
                Ok(frame) => inputs.push(
                    match Message::parse(frame).and_then(|message| message.checked(limits)) {
                        Ok(message) => Input::Message { link, message },
                        Err(error) => {
                            malformed += 1;
                            Input::Malformed { link, error }
                        }
                    },
                ),
                Err(error) => {
                    end = Err(error);
                    break;
                }
            }
        }
        self.driver.traffic.received(frames, bytes, duplicates, malformed);
        let any = !inputs.is_empty();
        let mut inputs = inputs.into_iter();
        while self.driver.inputs(link, &mut inputs) > 0 {
            Box::pin(self.driver.wait_for_room()).await;
        }
        end.map(|()| any)
    }
}

/// Reads what is there, at least a byte unless the stream has ended.
///
/// Most links are silent most of the time, so one without an unfinished frame owns no buffer while
/// it waits: it reads into one that all links of a thread share.
async fn fill(reader: &mut Reader, buffer: &mut BytesMut) -> io::Result<usize> {
    thread_local! {
        static SHARED: RefCell<Box<[u8]>> = RefCell::new(vec![0; CHUNK].into());
    }
    poll_fn(|cx| {
        let mut reader = Pin::new(&mut *reader);
        if buffer.capacity() > buffer.len() {
            let read = tokio_util::io::poll_read_buf(reader.as_mut(), cx, buffer);
            if read.is_pending() && buffer.is_empty() {
                *buffer = BytesMut::new();
            }
            return read;
        }
        SHARED.with_borrow_mut(|shared| {
            let mut read = ReadBuf::new(shared);
            match reader.poll_read(cx, &mut read) {
                Poll::Ready(Ok(())) => {
                    buffer.extend_from_slice(read.filled());
                    Poll::Ready(Ok(read.filled().len()))
                }
                Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                Poll::Pending => Poll::Pending,
            }
        })
    })
    .await
}

/// Prepares for the next read after one of `length` bytes: room for the rest of an unfinished
/// frame, or for another bulk of frames.
fn make_room(buffer: &mut BytesMut, length: usize) {
    if buffer.is_empty() && length < BULK {
        *buffer = BytesMut::new();
        return;
    }
    // A frame's announced length is not believed at once: memory follows what really comes.
    let missing = RawFrame::announced_len(buffer).map_or(CHUNK, |total| total - buffer.len());
    let room = missing.min(buffer.len().max(CHUNK)).max(if length < BULK { 0 } else { CHUNK });
    buffer.reserve(room);
}

async fn discard(reader: &mut Reader) {
    let mut buffer = BytesMut::with_capacity(BULK);
    while let Ok(1..) = fill(reader, &mut buffer).await {
        buffer.clear();
    }
}

struct Outbound<M: Machine> {
    link: LinkId,
    driver: Arc<Driver<M>>,
    queue: Arc<SendQueue>,
    writer: Writer,
}

impl<M> Outbound<M>
where
    M: Machine + Send + 'static,
    M::Event: Clone + Send + 'static,
{
    async fn run(mut self) {
        let queue = self.queue.clone();
        let flush = self.driver.config.flush;
        let written = {
            let write = self.write();
            tokio::pin!(write);
            tokio::select! {
                written = &mut write => written,
                () = queue.closed() => {
                    let in_time = Box::pin(timeout(flush, write)).await;
                    in_time.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
                }
            }
        };
        if let Err(error) = written {
            self.driver.lost(self.link, CloseReason::Io(error.to_string().into()));
        }
        queue.finish();
    }

    /// Writes until the queue is closed and empty.
    async fn write(&mut self) -> io::Result<()> {
        let mut batch = VecDeque::new();
        while self.queue.take(&mut batch).await {
            self.write_batch(&mut batch).await?;
            if batch.capacity() > 64 {
                batch = VecDeque::new();
            }
        }
        self.writer.shutdown().await
    }

    async fn write_batch(&mut self, batch: &mut VecDeque<Queued>) -> io::Result<()> {
        let mut gathered = BytesMut::new();
        while let Some(queued) = batch.pop_front() {
            let bytes = queued.frame.bytes();
            let mut sent = Sent { frames: 1, bytes: bytes.len(), weight: queued.frame.weight() };
            if bytes.len() > PART {
                sent = Box::pin(self.write_in_parts(bytes, sent)).await?;
            } else if !queued.gather || bytes.len() >= CHUNK || batch.is_empty() {
                self.writer.write_all(bytes).await?;
            } else {
                gathered.clear();
                gathered.reserve(CHUNK);
                gathered.extend_from_slice(bytes);
                while let Some(next) = batch.front()
                    && next.gather
                    && gathered.len() + next.frame.bytes().len() <= CHUNK
                {
                    gathered.extend_from_slice(next.frame.bytes());
                    sent.frames += 1;
                    sent.bytes += next.frame.bytes().len();
                    sent.weight += next.frame.weight();
                    batch.pop_front();
                }
                self.writer.write_all(&gathered).await?;
            }
            self.writer.flush().await?;
            self.report(sent);
        }
        Ok(())
    }

    /// Writes a large frame and reports all of it but the last part.
    async fn write_in_parts(&mut self, bytes: &[u8], whole: Sent) -> io::Result<Sent> {
        let mut left = whole;
        let mut parts = bytes.chunks(PART).peekable();
        while let Some(part) = parts.next() {
            self.writer.write_all(part).await?;
            if parts.peek().is_some() {
                // Compressed bytes stand for as many times more in the queue.
                let weight = part.len() * (whole.weight / bytes.len());
                self.report(Sent { frames: 0, bytes: part.len(), weight });
                left.bytes -= part.len();
                left.weight -= weight;
            }
        }
        Ok(left)
    }

    fn report(&self, sent: Sent) {
        self.queue.written(sent.weight);
        self.driver.traffic.sent(sent.frames, sent.bytes as u64);
        self.driver.input(Input::Flushed { link: self.link, bytes: sent.weight });
        self.driver.flushed.notify_waiters();
    }
}

/// What one write took along.
#[derive(Clone, Copy)]
struct Sent {
    frames: u64,
    bytes: usize,
    weight: usize,
}
