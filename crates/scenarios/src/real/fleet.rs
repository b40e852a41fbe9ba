//! All processes of a run, seen from outside: who is up, and who is linked to whom.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

use rand::RngExt as _;
use rand::rngs::Xoshiro256PlusPlus;
use rs2p_simnet::{Crash, stream};
use serde_json::Value;

use super::place::Place;
use super::process::{Process, Told};
use super::{RealError, now};

/// The processes, by number.
#[derive(Debug)]
pub(crate) struct Fleet {
    // Before the place: what lives there has to be gone before it is taken down.
    nodes: Vec<Node>,
    place: Place,
    program: PathBuf,
    command: &'static str,
    seed: u64,
    start: Instant,
    /// Whose id it is.
    ids: BTreeMap<String, usize>,
    /// Who starts once another node is ready.
    waiting: BTreeMap<usize, Vec<usize>>,
    /// Processes that have ended, and with them what they had counted since they last told.
    lost: u64,
    /// Events that processes threw away, since the harness did not read fast enough.
    missed: u64,
    telling: SyncSender<Told>,
    told: Receiver<Told>,
}

#[derive(Debug, Default)]
struct Node {
    process: Option<Process>,
    state: State,
    /// How often it has been started.
    life: u64,
    /// Where it listens, once it has told.
    address: Option<String>,
    id: String,
    /// The ids of its peers.
    peers: BTreeSet<String>,
    /// What it last answered to `status`, and how often it has answered to that.
    status: Option<Value>,
    /// What it last answered in earlier lives.
    past: Vec<Value>,
    answers: u64,
    /// When it was last started, stopped, or let go on, in microseconds since the start.
    disturbed: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Down,
    /// Its process has been started, and is not ready yet.
    Starting,
    Up,
    /// It stands still, for a while.
    Paused,
    /// It is down for the others, but its process stands still and its links are open.
    Mute,
}

/// What comes of something that a process has told.
#[derive(Debug)]
pub(crate) enum News {
    /// It concerns nobody but the fleet.
    Nothing,
    /// It was not let in by those that it asked, as when these are down: it may try again.
    Alone(usize),
    /// Something for those who look at users: the node, when, and what.
    Line(usize, Instant, Value),
    /// A process has ended that should not have.
    Ended(usize, String),
}

/// How the nodes that are up hang together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Shape {
    pub(crate) up: usize,
    pub(crate) components: usize,
    /// Nodes in the largest part.
    pub(crate) largest: usize,
    pub(crate) links: usize,
    pub(crate) links_max: usize,
}

impl Fleet {
    pub(super) fn new(place: Place, program: PathBuf, command: &'static str, seed: u64) -> Self {
        let (telling, told) = mpsc::sync_channel(TOLD);
        Self {
            nodes: Vec::new(),
            place,
            program,
            command,
            seed,
            start: now(),
            ids: BTreeMap::new(),
            waiting: BTreeMap::new(),
            lost: 0,
            missed: 0,
            telling,
            told,
        }
    }

    /// The time starts now.
    pub(super) fn begin(&mut self) {
        self.start = now();
    }

    /// Makes homes for so many nodes, which takes a while in some places.
    pub(super) fn settle(&mut self, nodes: usize) -> Result<(), RealError> {
        (0..nodes).try_for_each(|node| self.place.settle(node))
    }

    pub(super) fn place(&mut self) -> &mut Place {
        &mut self.place
    }

    /// Microseconds from the start to then.
    pub(crate) fn micros(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.start).as_micros()).unwrap_or(u64::MAX)
    }

    /// Microseconds since the start.
    pub(crate) fn elapsed(&self) -> u64 {
        self.micros(now())
    }

    /// How many nodes there have been.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn is_running(&self, node: usize) -> bool {
        !matches!(self.nodes[node].state, State::Down | State::Mute)
    }

    /// Whether it is up and ready, and nothing has befallen it since then.
    pub(crate) fn is_steady_since(&self, node: usize, at: u64) -> bool {
        let node = &self.nodes[node];
        node.state == State::Up && node.disturbed <= at
    }

    /// Has a line said to a node. `false` when it takes none.
    pub(crate) fn say(&self, node: usize, line: &str) -> bool {
        self.nodes[node].process.as_ref().is_some_and(|process| process.say(line))
    }

    /// One more node joins: it asks one that came before, the same one as in the simulator.
    pub(super) fn join(&mut self, regions: usize) -> Result<(), RealError> {
        let node = self.nodes.len();
        let mut rng = stream(self.seed, "join", node as u64);
        let _region = rng.random_range(0..regions.max(1));
        let seeds = seeds(node, node, &mut rng);
        self.nodes.push(Node::default());
        match seeds.first() {
            Some(&seed) if self.nodes[seed].address.is_none() => {
                self.waiting.entry(seed).or_default().push(node);
                Ok(())
            }
            _ => self.start(node, &seeds),
        }
    }

    /// A node that is down starts again, and asks two others: the same ones as in the simulator.
    pub(super) fn revive(&mut self, node: usize) -> Result<(), RealError> {
        if self.is_running(node) {
            return Ok(());
        }
        if self.nodes[node].state == State::Mute {
            self.end(node);
        }
        self.place.unsilence(node)?;
        let life = self.nodes[node].life;
        let mut rng = stream(self.seed, "return", (node as u64) << 32 | life);
        let seeds = seeds(node, self.nodes.len(), &mut rng);
        self.start(node, &seeds)
    }

    fn start(&mut self, node: usize, seeds: &[usize]) -> Result<(), RealError> {
        let mut command = self.place.command(node, &self.program);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("RS2P_") {
                command.env_remove(name);
            }
        }
        let host = self.place.host(node);
        let listen = self.nodes[node].address.clone().unwrap_or_else(|| format!("{host}:0"));
        let subnet = format!("simnet-{}", std::process::id());
        command.args([self.command, "--json", "--quiet", "--listen", &listen]);
        command.args(["--subnet", &subnet]);
        for seed in seeds {
            if let Some(address) = &self.nodes[*seed].address {
                command.args(["--connect", address]);
            }
        }
        let disturbed = self.elapsed();
        let life = self.nodes[node].life + 1;
        let process = Process::start(command, (node, life), self.telling.clone());
        let process = process.map_err(|cause| RealError::Start {
            node,
            program: self.program.clone(),
            cause: cause.to_string(),
        })?;
        let old = &mut self.nodes[node];
        old.past.extend(old.status.take());
        *old = Node {
            process: Some(process),
            state: State::Starting,
            life,
            address: old.address.take(),
            past: std::mem::take(&mut old.past),
            disturbed,
            ..Node::default()
        };
        Ok(())
    }

    /// Takes a node down. Whether it had links, so that somebody can have noticed.
    pub(super) fn take_down(&mut self, node: usize, how: Crash) -> Result<bool, RealError> {
        if !self.is_running(node) {
            return Ok(false);
        }
        let had_links = !self.neighbours(node).is_empty();
        let is_mute = how == Crash::Host && !self.place.silence(node)?;
        self.nodes[node].disturbed = self.elapsed();
        match &self.nodes[node].process {
            // Its links have to stay open, which they do as long as there is the process.
            Some(process) if is_mute => {
                process.stop().map_err(|cause| RealError::Signal { node, cause })?;
                self.lost += 1;
                self.ids.remove(&self.nodes[node].id);
                self.nodes[node].state = State::Mute;
            }
            _ => self.end(node),
        }
        Ok(had_links)
    }

    fn end(&mut self, node: usize) {
        self.lost += 1;
        let it = &mut self.nodes[node];
        it.process = None;
        it.state = State::Down;
        it.peers.clear();
        self.ids.remove(&it.id);
    }

    /// A node stands still.
    pub(super) fn pause(&mut self, node: usize) -> Result<bool, RealError> {
        let elapsed = self.elapsed();
        let it = &mut self.nodes[node];
        let Some(process) = it.process.as_ref().filter(|_| it.state == State::Up) else {
            return Ok(false);
        };
        process.stop().map_err(|cause| RealError::Signal { node, cause })?;
        (it.state, it.disturbed) = (State::Paused, elapsed);
        Ok(true)
    }

    /// And goes on.
    pub(super) fn resume(&mut self, node: usize) -> Result<(), RealError> {
        let elapsed = self.elapsed();
        let it = &mut self.nodes[node];
        if let Some(process) = it.process.as_ref().filter(|_| it.state == State::Paused) {
            process.go_on().map_err(|cause| RealError::Signal { node, cause })?;
            (it.state, it.disturbed) = (State::Up, elapsed);
        }
        Ok(())
    }

    /// What is told next, waited for no longer than until then.
    pub(super) fn next(&mut self, until: u64) -> Result<Option<News>, RealError> {
        let left = Duration::from_micros(until.saturating_sub(self.elapsed()));
        match self.told.recv_timeout(left) {
            Ok(told) => self.hear(told).map(Some),
            // There is always a sender: the one that is given to processes.
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => Ok(None),
        }
    }

    fn hear(&mut self, told: Told) -> Result<News, RealError> {
        let Told { node, life, at, line } = told;
        let it = &mut self.nodes[node];
        if it.life != life || matches!(it.state, State::Down | State::Mute) {
            return Ok(News::Nothing);
        }
        let Some(line) = line else { return Ok(self.ended(node)) };
        let text = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
        match (line["event"].as_str(), line["reply"].as_str()) {
            (Some("ready"), _) => {
                it.state = State::Up;
                (it.id, it.address) = (text("id"), Some(text("listen")));
                self.ids.insert(text("id"), node);
                for next in self.waiting.remove(&node).unwrap_or_default() {
                    if !self.is_running(next) {
                        self.start(next, &[node])?;
                    }
                }
                Ok(News::Nothing)
            }
            (Some("connect"), _) => {
                it.peers.insert(text("peer"));
                Ok(News::Nothing)
            }
            (Some("disconnect"), _) => {
                it.peers.remove(&text("peer"));
                Ok(News::Nothing)
            }
            (Some("missed"), _) => {
                self.missed += line["count"].as_u64().unwrap_or(1);
                Ok(News::Nothing)
            }
            (_, Some("peers")) => {
                let peers = line["peers"].as_array().into_iter().flatten();
                it.peers = peers.filter_map(|peer| Some(peer["id"].as_str()?.to_owned())).collect();
                Ok(News::Nothing)
            }
            (_, Some("status")) => {
                it.answers += 1;
                it.status = Some(line);
                Ok(News::Nothing)
            }
            _ => Ok(News::Line(node, at, line)),
        }
    }

    /// A process has closed its output.
    fn ended(&mut self, node: usize) -> News {
        let deadline = now() + ENDING;
        let Some(process) = &mut self.nodes[node].process else { return News::Nothing };
        let mut status = process.ended();
        while status.is_none() && now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
            status = process.ended();
        }
        let log = process.log();
        self.end(node);
        match status {
            Some(status) if status.code() == Some(NOBODY_REACHED) => News::Alone(node),
            Some(status) => News::Ended(node, format!("it ended ({status}): {log}")),
            None => News::Ended(node, format!("it tells nothing any more: {log}")),
        }
    }

    /// How many processes have ended that had counted what nobody will know.
    pub(super) fn lost(&self) -> u64 {
        self.lost
    }

    /// Events that nobody will hear of.
    pub(super) fn missed(&self) -> u64 {
        self.missed
    }

    /// Asks all that can answer who their peers are, and how they are doing.
    pub(super) fn ask(&mut self) -> Vec<(usize, u64)> {
        let up: Vec<usize> =
            (0..self.nodes.len()).filter(|node| self.nodes[*node].state == State::Up).collect();
        let asked = up.into_iter().filter(|node| self.say(*node, "peers\nstatus"));
        asked.map(|node| (node, self.nodes[node].answers)).collect()
    }

    /// Whether one that was asked owes its answer.
    pub(super) fn owes(&self, (node, answers): (usize, u64)) -> bool {
        self.nodes[node].state == State::Up && self.nodes[node].answers == answers
    }

    /// The sum of something that nodes count, as far as they have told.
    pub(crate) fn count(&self, group: &str, name: &str) -> u64 {
        let status = self.nodes.iter().flat_map(|node| node.past.iter().chain(&node.status));
        status.filter_map(|status| status[group][name].as_u64()).sum()
    }

    /// Those with which a node shares a link, as both of them say.
    pub(super) fn neighbours(&self, node: usize) -> Vec<usize> {
        let it = &self.nodes[node];
        let others = it.peers.iter().filter_map(|id| self.ids.get(id).copied());
        others.filter(|other| self.nodes[*other].peers.contains(&it.id)).collect()
    }

    /// The part of the network in which each node is, by the least number in it.
    pub(crate) fn components(&self) -> Vec<Option<usize>> {
        let mut roots = vec![None; self.nodes.len()];
        for first in 0..self.nodes.len() {
            if !self.counts(first) || roots[first].is_some() {
                continue;
            }
            let mut found = vec![first];
            roots[first] = Some(first);
            while let Some(node) = found.pop() {
                for next in self.neighbours(node) {
                    let is_open = self.counts(next) && !self.place.is_cut(node, next);
                    if is_open && roots[next].is_none() {
                        roots[next] = Some(first);
                        found.push(next);
                    }
                }
            }
        }
        roots
    }

    fn counts(&self, node: usize) -> bool {
        matches!(self.nodes[node].state, State::Up | State::Paused)
    }

    pub(super) fn shape(&self) -> Shape {
        let mut sizes = BTreeMap::new();
        for root in self.components().into_iter().flatten() {
            *sizes.entry(root).or_insert(0_usize) += 1;
        }
        let counting = (0..self.nodes.len()).filter(|node| self.counts(*node));
        // Those that are gone without a word are peers until it is noticed.
        let links: Vec<usize> = counting.map(|node| self.nodes[node].peers.len()).collect();
        Shape {
            up: links.len(),
            components: sizes.len(),
            largest: sizes.values().copied().max().unwrap_or(0),
            links: links.iter().sum(),
            links_max: links.iter().copied().max().unwrap_or(0),
        }
    }
}

/// Where a node finds others: drawn as the simulator draws.
fn seeds(node: usize, known: usize, rng: &mut Xoshiro256PlusPlus) -> Vec<usize> {
    let known = u32::try_from(known).unwrap_or(u32::MAX);
    let wanted = if (node as u64) < u64::from(known) { 2 } else { 1 };
    let others = (0..wanted).filter(|_| known > 0);
    let others = others.map(|_| rng.random_range(0..known) as usize);
    others.filter(|other| *other != node).collect()
}

/// Lines that may wait to be looked at, before the processes have to wait.
const TOLD: usize = 1 << 16;
/// How long a process may take to end once it has closed its output.
const ENDING: Duration = Duration::from_secs(2);
/// The status with which `rs2p` ends when it reaches none of those it was told of.
const NOBODY_REACHED: i32 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_asks_one_that_came_before_and_one_that_returns_asks_two_others() {
        for node in 0..50 {
            let asked = seeds(node, node, &mut stream(1, "join", node as u64));
            assert_eq!(asked.len(), usize::from(node > 0));
            assert!(asked.iter().all(|other| *other < node));
            let asked = seeds(node, 50, &mut stream(1, "return", node as u64));
            assert!(asked.len() <= 2 && asked.iter().all(|other| *other != node && *other < 50));
        }
    }
}
