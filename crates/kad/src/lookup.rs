//! The search for the nodes nearest to a key.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;

use crate::key::{Distance, Key};
use crate::node::Node;

/// How a [`Lookup`] searches.
#[derive(Clone, Copy, Debug)]
pub struct LookupConfig {
    /// How many nodes are searched for, and how many of an answer are taken. 20 by default, as in
    /// a bucket.
    pub k: NonZeroUsize,
    /// How many questions each path keeps under way. 3 by default; more hide silent nodes better
    /// and cost that many more datagrams.
    pub alpha: NonZeroUsize,
    /// How many paths search side by side without sharing a node (S/Kademlia, Baumgart and Mies,
    /// 2007). One by default. With more, a liar spoils only the path it is on.
    pub paths: NonZeroUsize,
}

impl Default for LookupConfig {
    fn default() -> Self {
        const { Self { k: at_least(20), alpha: at_least(3), paths: NonZeroUsize::MIN } }
    }
}

const fn at_least(number: usize) -> NonZeroUsize {
    NonZeroUsize::MIN.saturating_add(number - 1)
}

/// The search for the `k` live nodes nearest to a key (Kademlia, section 2.3).
///
/// It sends nothing: [`next`](Self::next) says whom to ask, and the answers are told by
/// [`answered`](Self::answered), [`delayed`](Self::delayed) and [`failed`](Self::failed). The
/// nearest known node is always asked next. The search [is done](Self::is_done) when the `k`
/// nearest nodes that have not failed have all answered. Memory is bounded by eight times `k`
/// candidates a path and one key for each node that was ever heard of in it.
///
/// ```
/// use rs2p_kad::{Key, Lookup, LookupConfig, Node};
///
/// let node = |byte| Node::new(Key::new([byte; 20]), ());
/// let mut lookup = Lookup::new(Key::new([1; 20]), LookupConfig::default(), [node(9)]);
/// let asked = lookup.next().expect("a node to ask");
/// lookup.answered(&asked.id, [node(3), node(9)]);
/// let asked = lookup.next().expect("a nearer one");
/// assert_eq!(asked, node(3));
/// lookup.failed(&asked.id);
/// assert!(lookup.is_done());
/// assert_eq!(lookup.closest().collect::<Vec<_>>(), [&node(9)]);
/// ```
#[derive(Clone, Debug)]
pub struct Lookup<A, const N: usize = 20> {
    target: Key<N>,
    config: LookupConfig,
    /// Everyone ever heard of, so that nobody is asked twice.
    seen: BTreeSet<Key<N>>,
    paths: Vec<Path<A, N>>,
    /// The path whose turn it is.
    turn: usize,
}

/// One of the ways that search side by side.
#[derive(Clone, Debug)]
struct Path<A, const N: usize> {
    /// Those that have not failed, nearest first.
    candidates: BTreeMap<Distance<N>, Candidate<A, N>>,
    /// Questions that hold a place: asked, and not delayed.
    under_way: usize,
}

#[derive(Clone, Debug)]
struct Candidate<A, const N: usize> {
    node: Node<A, N>,
    state: State,
    /// Links from here: 1 for those known at the start.
    hops: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Known,
    Asked,
    /// Asked, and it takes long: another was asked in its stead.
    Delayed,
    Answered,
}

impl<A: Clone, const N: usize> Lookup<A, N> {
    /// A search that starts from these nodes: the nearest ones of a table.
    pub fn new(
        target: Key<N>,
        config: LookupConfig,
        start: impl IntoIterator<Item = Node<A, N>>,
    ) -> Self {
        let path = Path { candidates: BTreeMap::new(), under_way: 0 };
        let paths = vec![path; config.paths.get()];
        let mut lookup = Self { target, config, seen: BTreeSet::new(), paths, turn: 0 };
        for (number, node) in start.into_iter().enumerate() {
            lookup.learn(number % lookup.paths.len(), node, 1);
        }
        lookup
    }

    /// What is searched for.
    #[must_use]
    pub const fn target(&self) -> &Key<N> {
        &self.target
    }

    /// Leaves out a node, such as the one that searches, whoever tells of it. Say so at the start.
    pub fn exclude(&mut self, id: Key<N>) {
        self.seen.insert(id);
        let distance = self.target.distance(&id);
        for path in &mut self.paths {
            path.candidates.remove(&distance);
        }
    }

    /// Whom to ask now; it counts as asked from here on. Nothing while `alpha` questions are under
    /// way on each path, or when nobody is left to ask.
    #[expect(clippy::should_implement_trait, reason = "nothing now does not mean nothing ever")]
    pub fn next(&mut self) -> Option<Node<A, N>> {
        for _ in 0..self.paths.len() {
            let turn = self.turn;
            self.turn = (turn + 1) % self.paths.len();
            let path = &mut self.paths[turn];
            if path.under_way >= self.config.alpha.get() {
                continue;
            }
            let nearest = path.candidates.values_mut().take(self.config.k.get());
            let mut known = nearest.filter(|candidate| candidate.state == State::Known);
            if let Some(candidate) = known.next() {
                candidate.state = State::Asked;
                path.under_way += 1;
                return Some(candidate.node.clone());
            }
        }
        None
    }

    /// A node answered with these nodes, of which `k` are taken. Nothing happens if it was not
    /// asked, or has failed before.
    pub fn answered(&mut self, id: &Key<N>, nodes: impl IntoIterator<Item = Node<A, N>>) {
        let Some((path, hops)) = self.settle(id, State::Answered) else { return };
        for node in nodes.into_iter().take(self.config.k.get()) {
            self.learn(path, node, hops.saturating_add(1));
        }
        self.paths[path].shed(self.config.k.get() * CANDIDATES_PER_K);
    }

    /// A node takes long to answer: another may be asked in its stead, and the search waits for it
    /// only at the end.
    pub fn delayed(&mut self, id: &Key<N>) {
        self.settle(id, State::Delayed);
    }

    /// A node does not answer, or answered what it should not: it is no longer searched for.
    pub fn failed(&mut self, id: &Key<N>) {
        if let Some((path, _)) = self.settle(id, State::Answered) {
            self.paths[path].candidates.remove(&self.target.distance(id));
        }
    }

    /// Whether the `k` nearest nodes that have not failed have all answered, on every path.
    #[must_use]
    pub fn is_done(&self) -> bool {
        let k = self.config.k.get();
        let answered = |candidate: &Candidate<A, N>| candidate.state == State::Answered;
        self.paths.iter().all(|path| path.candidates.values().take(k).all(answered))
    }

    /// The nodes that answered, from the nearest to the farthest.
    pub fn closest(&self) -> impl Iterator<Item = &Node<A, N>> {
        self.answers().map(|candidate| &candidate.node)
    }

    /// Over how many nodes the nearest one that answered was found: 1 if it was known at the
    /// start, 2 if one of those told of it, and so on; 0 if nobody answered.
    #[must_use]
    pub fn hops(&self) -> u32 {
        self.answers().next().map_or(0, |candidate| candidate.hops)
    }

    fn answers(&self) -> impl Iterator<Item = &Candidate<A, N>> {
        let answered =
            |(_, candidate): &(&Distance<N>, &Candidate<A, N>)| candidate.state == State::Answered;
        let mut all: Vec<_> =
            self.paths.iter().flat_map(|path| path.candidates.iter().filter(answered)).collect();
        all.sort_unstable_by_key(|(distance, _)| **distance);
        all.into_iter().map(|(_, candidate)| candidate)
    }

    fn learn(&mut self, path: usize, node: Node<A, N>, hops: u32) {
        if self.seen.insert(node.id) {
            let candidate = Candidate { hops, state: State::Known, node };
            let distance = self.target.distance(&candidate.node.id);
            self.paths[path].candidates.insert(distance, candidate);
        }
    }

    /// Notes the outcome of a question that is under way; its path, and the hops to the node.
    fn settle(&mut self, id: &Key<N>, state: State) -> Option<(usize, u32)> {
        let distance = self.target.distance(id);
        for (number, path) in self.paths.iter_mut().enumerate() {
            let Some(candidate) = path.candidates.get_mut(&distance) else { continue };
            match candidate.state {
                State::Asked => path.under_way -= 1,
                State::Delayed => {}
                State::Known | State::Answered => return None,
            }
            candidate.state = state;
            return Some((number, candidate.hops));
        }
        None
    }
}

impl<A, const N: usize> Path<A, N> {
    /// Drops the farthest candidates that nobody waits for.
    fn shed(&mut self, limit: usize) {
        while self.candidates.len() > limit {
            let last = self.candidates.last_entry();
            match last.filter(|last| matches!(last.get().state, State::Known | State::Answered)) {
                Some(last) => last.remove(),
                None => return,
            };
        }
    }
}

/// Candidates that a path keeps, in multiples of `k`.
const CANDIDATES_PER_K: usize = 8;
