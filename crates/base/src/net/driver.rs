//! The machine, the links it uses, and what passes between them.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::runtime::Handle;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument as _, debug, debug_span};

use super::clock::Clock;
use super::config::NetConfig;
use super::events::{Offered, Subscriber};
use super::link_tasks::{self, LinkTask};
use super::observe::{self, Traffic};
use super::send_queue::{Full, Queued, SendQueue};
use super::transport::{Connection, Transport};
use crate::endpoint::Endpoint;
use crate::machine::{
    CloseReason, DialError, DialId, Input, LinkId, Machine, Origin, Output, RequestId,
};
use crate::time::Time;

/// What a node's tasks and handles share.
pub(super) struct Driver<M: Machine> {
    state: Mutex<State<M>>,
    pub(super) clock: Clock,
    pub(super) config: NetConfig,
    pub(super) traffic: Traffic,
    /// What peers may hold of this node's sockets: a link that is closed keeps its own for a while.
    doors: Arc<Semaphore>,
    /// Told when a paced stream of events has room again.
    pub(super) room: Arc<Notify>,
    /// Told when frames have left a send queue, and when a link is gone.
    pub(super) flushed: Notify,
    pub(super) stop: CancellationToken,
    /// As `stop` tells, but without its lock.
    stopped: AtomicBool,
    pub(super) tasks: TaskTracker,
    timer: Notify,
    transport: Arc<dyn Transport>,
    datagrams: Option<UdpSocket>,
    runtime: Handle,
    congested: AtomicBool,
}

pub(super) struct State<M: Machine> {
    pub(super) machine: M,
    links: BTreeMap<LinkId, Arc<SendQueue>>,
    next_link: u64,
    dials: BTreeMap<DialId, AbortHandle>,
    subscribers: Vec<Box<dyn Subscriber<M::Event>>>,
    waiting: BTreeMap<RequestId, oneshot::Sender<M::Event>>,
    /// What the timer task sleeps for.
    timer_at: Option<Time>,
}

impl<M> Driver<M>
where
    M: Machine + Send + 'static,
    M::Event: Clone + Send + 'static,
{
    pub(super) fn new(
        machine: M,
        transport: Arc<dyn Transport>,
        datagrams: Option<UdpSocket>,
        config: NetConfig,
    ) -> Self {
        Self {
            state: Mutex::new(State {
                machine,
                links: BTreeMap::new(),
                next_link: 0,
                dials: BTreeMap::new(),
                subscribers: Vec::new(),
                waiting: BTreeMap::new(),
                timer_at: None,
            }),
            clock: Clock::new(),
            doors: Arc::new(Semaphore::new(
                config.links.saturating_mul(2).min(Semaphore::MAX_PERMITS),
            )),
            config,
            traffic: Traffic::default(),
            room: Arc::default(),
            flushed: Notify::new(),
            stop: CancellationToken::new(),
            stopped: AtomicBool::new(false),
            tasks: TaskTracker::new(),
            timer: Notify::new(),
            transport,
            datagrams,
            runtime: Handle::current(),
            congested: AtomicBool::new(false),
        }
    }

    /// The machine, unless the node has stopped or a panic has left the machine in pieces.
    fn lock(&self) -> Option<MutexGuard<'_, State<M>>> {
        let state = match self.state.lock() {
            Ok(state) => state,
            Err(poisoned) => {
                if !self.is_stopped() {
                    self.end(&mut poisoned.into_inner());
                }
                return None;
            }
        };
        (!self.is_stopped()).then_some(state)
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Nothing more reaches the machine, and all that wait for it are told.
    fn end(&self, state: &mut State<M>) {
        self.stopped.store(true, Ordering::Relaxed);
        self.stop.cancel();
        state.links.values().for_each(|queue| queue.close());
        state.dials.values().for_each(AbortHandle::abort);
        state.subscribers.iter().for_each(|subscriber| subscriber.close());
        state.waiting.clear();
        self.tasks.close();
        self.flushed.notify_waiters();
        self.room.notify_waiters();
    }

    /// Runs `act` on the machine, then does and tells what the machine wants done and told.
    pub(super) fn with<R>(
        self: &Arc<Self>,
        act: impl FnOnce(&mut State<M>, Time) -> R,
    ) -> Option<R> {
        let mut state = self.lock()?;
        let now = self.clock.now();
        let result = act(&mut state, now);
        self.drain(&mut state, now);
        Some(result)
    }

    pub(super) fn input(self: &Arc<Self>, input: Input) {
        self.with(|state, now| state.machine.handle_input(now, input));
    }

    /// Hands over what came on a link, and stops short, telling how much is left, when a paced
    /// stream of events is full.
    pub(super) fn inputs(
        self: &Arc<Self>,
        link: LinkId,
        inputs: &mut std::vec::IntoIter<Input>,
    ) -> usize {
        let Some(mut state) = self.lock() else { return 0 };
        let now = self.clock.now();
        while !self.is_congested() && state.links.contains_key(&link) {
            let Some(input) = inputs.next() else { return 0 };
            state.machine.handle_input(now, input);
            self.drain(&mut state, now);
        }
        if state.links.contains_key(&link) { inputs.len() } else { 0 }
    }

    fn drain(self: &Arc<Self>, state: &mut State<M>, now: Time) {
        while let Some(output) = state.machine.poll_output() {
            match output {
                Output::Send { link, frame, gather } => {
                    let Some(queue) = state.links.get(&link) else { continue };
                    if let Err(Full(queued)) = queue.push(Queued { frame, gather }) {
                        let limit = self.config.send_queue;
                        let reason = CloseReason::SlowReader { queued, limit };
                        self.close(state, now, link, reason);
                    }
                }
                Output::Close { link, reason } => self.close(state, now, link, reason),
                Output::Dial { dial, to } => self.dial(state, dial, to),
                Output::CancelDial { dial } => {
                    if let Some(task) = state.dials.remove(&dial) {
                        task.abort();
                    }
                }
                Output::Datagram { to, data } => {
                    let sent = self.datagrams.as_ref().map(|socket| socket.try_send_to(&data, to));
                    observe::datagram_sent(sent, data.len());
                }
                Output::Event(event) => self.tell(state, event),
            }
        }
        let deadline = state.machine.poll_timeout();
        if deadline.is_some_and(|at| state.timer_at.is_none_or(|timer_at| at < timer_at)) {
            self.timer.notify_one();
        }
    }

    fn tell(&self, state: &mut State<M>, event: M::Event) {
        if let Some(waiting) = M::completes(&event).and_then(|id| state.waiting.remove(&id)) {
            // Nobody waits any more: the stream of events tells all the same.
            let _ = waiting.send(event.clone());
        }
        let mut congested = false;
        state.subscribers.retain(|subscriber| match subscriber.offer(&event) {
            Offered::Gone => false,
            Offered::Taken { congested: full } => {
                congested |= full;
                true
            }
        });
        self.congested.store(congested, Ordering::Relaxed);
    }

    /// Waits until paced streams have room, or their readers have tried the node's patience.
    pub(super) async fn wait_for_room(&self) {
        let room = self.room.notified();
        tokio::pin!(room);
        room.as_mut().enable();
        if !self.look_for_room(false) {
            let waited = tokio::time::timeout(self.config.patience, room).await;
            self.look_for_room(waited.is_err());
        }
    }

    fn look_for_room(&self, give_up: bool) -> bool {
        let Some(state) = self.lock() else { return true };
        if give_up {
            state.subscribers.iter().for_each(|subscriber| subscriber.give_up());
        }
        let congested = state.subscribers.iter().any(|subscriber| subscriber.is_congested());
        self.congested.store(congested, Ordering::Relaxed);
        !congested
    }

    pub(super) fn is_congested(&self) -> bool {
        self.congested.load(Ordering::Relaxed)
    }

    /// Ends a link for the machine. What waits in its queue is still written.
    fn close(self: &Arc<Self>, state: &mut State<M>, now: Time, link: LinkId, reason: CloseReason) {
        let Some(queue) = state.links.remove(&link) else { return };
        queue.close();
        debug!(%link, %reason, "link closed");
        observe::link_closed(&reason);
        state.machine.handle_input(now, Input::Closed { link, reason });
        // Who waits for room waits for this link no more.
        self.flushed.notify_waiters();
    }

    /// A link's task has found the end of it.
    pub(super) fn lost(self: &Arc<Self>, link: LinkId, reason: CloseReason) {
        self.with(|state, now| self.close(state, now, link, reason));
    }

    fn dial(self: &Arc<Self>, state: &mut State<M>, dial: DialId, to: Endpoint) {
        let driver = self.clone();
        let span = debug_span!("dial", %to);
        let attempt = async move {
            let opened = tokio::time::timeout(driver.config.dial, driver.transport.dial(&to)).await;
            let opened = opened.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
            match opened {
                Ok(connection) => driver.open(Origin::Dialled(dial), connection, None),
                Err(error) => {
                    debug!(%error, "dial failed");
                    observe::dial_failed(&error);
                    let error = DialError::new(to, &error);
                    driver.with(|state, now| {
                        if state.dials.remove(&dial).is_some() {
                            state.machine.handle_input(now, Input::DialFailed { dial, error });
                        }
                    });
                }
            }
        };
        let stop = self.stop.clone();
        let attempt = async move { stop.run_until_cancelled(attempt).await }.instrument(span);
        let task = self.tasks.spawn_on(attempt, &self.runtime);
        state.dials.insert(dial, task.abort_handle());
    }

    /// A byte stream is open: makes it a link.
    pub(super) fn open(
        self: &Arc<Self>,
        origin: Origin,
        connection: Connection,
        door: Option<OwnedSemaphorePermit>,
    ) {
        let Some(mut state) = self.lock() else { return };
        if let Origin::Dialled(dial) = origin
            && state.dials.remove(&dial).is_none()
        {
            return;
        }
        let link = LinkId(state.next_link);
        state.next_link += 1;
        let Connection { reader, writer, remote } = connection;
        let queue = Arc::new(SendQueue::new(self.config.send_queue));
        state.links.insert(link, queue.clone());
        debug!(%link, %remote, ?origin, "link opened");
        observe::link_opened(origin);
        let task = LinkTask { link, driver: self.clone(), queue, door };
        let (read, write) = link_tasks::run(task, reader, writer);
        let span = debug_span!("link", id = link.0, %remote);
        self.tasks.spawn_on(read.instrument(span.clone()), &self.runtime);
        self.tasks.spawn_on(write.instrument(span), &self.runtime);
        let now = self.clock.now();
        state.machine.handle_input(now, Input::Opened { link, origin, remote });
        self.drain(&mut state, now);
    }

    /// How many links there are.
    pub(super) fn links(&self) -> usize {
        self.lock().map_or(0, |state| state.links.len())
    }

    /// Lets a peer in, unless there are links enough.
    pub(super) fn admit(&self) -> Option<OwnedSemaphorePermit> {
        let has_room = self.links() < self.config.links;
        has_room.then(|| self.doors.clone().try_acquire_owned().ok()).flatten()
    }

    /// Sleeps from deadline to deadline.
    pub(super) async fn run_timer(self: Arc<Self>) {
        while let Some(deadline) = self.handle_due() {
            let changed = self.timer.notified();
            let due = async {
                match deadline {
                    // A machine that breaks its contract must not spin.
                    Some(deadline) => {
                        let wait = deadline.since(self.clock.now()).max(Duration::from_millis(1));
                        tokio::time::sleep(wait).await;
                    }
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = due => {}
                () = changed => {}
                () = self.stop.cancelled() => return,
            }
        }
    }

    /// Lets the machine act on what is due, and tells its next deadline; nothing once stopped.
    fn handle_due(self: &Arc<Self>) -> Option<Option<Time>> {
        let mut state = self.lock()?;
        let now = self.clock.now();
        state.timer_at = Some(Time::from_millis(0));
        if state.machine.poll_timeout().is_some_and(|deadline| deadline <= now) {
            state.machine.handle_timeout(now);
            debug_assert!(state.machine.poll_timeout().is_none_or(|next| next > now));
            self.drain(&mut state, now);
        }
        state.timer_at = state.machine.poll_timeout();
        Some(state.timer_at)
    }

    /// Takes in datagrams.
    pub(super) async fn run_datagrams(self: Arc<Self>) {
        /// Longest UDP payload over IPv4.
        const LONGEST: usize = 65_507;
        let Some(socket) = &self.datagrams else { return };
        let mut buffer = vec![0; LONGEST];
        loop {
            let received = tokio::select! {
                received = socket.recv_from(&mut buffer) => received,
                () = self.stop.cancelled() => return,
            };
            match received {
                Ok((length, from)) => {
                    observe::datagram_received(length);
                    let data = bytes::Bytes::copy_from_slice(&buffer[..length]);
                    self.input(Input::Datagram { from, data });
                }
                // A peer that is gone shows up here as a refused connection; it says nothing
                // about the socket.
                Err(error) => debug!(%error, "receiving a datagram failed"),
            }
        }
    }

    /// Ends all links, each after what waits in its queue is written, and all streams of events.
    pub(super) fn shut_down(self: &Arc<Self>) {
        let Some(mut state) = self.lock() else { return };
        let now = self.clock.now();
        let links: Vec<LinkId> = state.links.keys().copied().collect();
        for link in links {
            self.close(&mut state, now, link, CloseReason::Shutdown);
        }
        self.drain(&mut state, now);
        self.end(&mut state);
    }
}

impl<M: Machine> State<M> {
    pub(super) fn subscribe(&mut self, subscriber: Box<dyn Subscriber<M::Event>>) {
        self.subscribers.push(subscriber);
    }

    pub(super) fn wait_for(&mut self, request: RequestId) -> oneshot::Receiver<M::Event> {
        let (sender, receiver) = oneshot::channel();
        self.waiting.insert(request, sender);
        receiver
    }

    pub(super) fn forget(&mut self, request: RequestId) {
        self.waiting.remove(&request);
    }
}
