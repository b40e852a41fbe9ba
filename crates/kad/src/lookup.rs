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
/// nearest nodes that have not failed have all answered.
///
/// Liars could name ever nearer nodes without end. So a path asks at most sixteen times `k` nodes
/// and one more for each bit of a key, far more than honest ones make it ask. Memory is bounded by
/// that: eight times `k` candidates a path, those that are awaited aside, and one key
/// for each node that was heard of.
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
    /// Questions that may still be asked.
    left: usize,
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
        let left = config.k.get().saturating_mul(QUESTIONS_PER_K);
        let left = left.saturating_add(Key::<N>::BITS as usize);
        let path = Path { candidates: BTreeMap::new(), under_way: 0, left };
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
            let candidate = path.candidates.remove(&distance);
            if candidate.is_some_and(|candidate| candidate.state == State::Asked) {
                path.under_way -= 1;
            }
        }
    }

    /// Whom to ask now; it counts as asked from here on. Nothing while `alpha` questions are under
    /// way on each path, or when nobody is left to ask, or no path may ask any more.
    #[expect(clippy::should_implement_trait, reason = "nothing now does not mean nothing ever")]
    pub fn next(&mut self) -> Option<Node<A, N>> {
        for _ in 0..self.paths.len() {
            let turn = self.turn;
            self.turn = (turn + 1) % self.paths.len();
            let path = &mut self.paths[turn];
            if path.under_way >= self.config.alpha.get() || path.left == 0 {
                continue;
            }
            let nearest = path.candidates.values_mut().take(self.config.k.get());
            let mut known = nearest.filter(|candidate| candidate.state == State::Known);
            if let Some(candidate) = known.next() {
                candidate.state = State::Asked;
                path.under_way += 1;
                path.left -= 1;
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
        self.paths[path].shed(self.config.k.get().saturating_mul(CANDIDATES_PER_K));
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

    /// Whether the `k` nearest nodes that have not failed have all answered, on every path that may
    /// still ask; on the others, whether nobody near is awaited.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.paths.iter().all(|path| path.is_done(self.config.k.get()))
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
    fn is_done(&self, k: usize) -> bool {
        self.candidates.values().take(k).all(|candidate| match candidate.state {
            State::Known => self.left == 0,
            State::Asked | State::Delayed => false,
            State::Answered => true,
        })
    }

    /// Drops the farthest candidates, but none that is awaited.
    fn shed(&mut self, limit: usize) {
        let excess = self.candidates.len().saturating_sub(limit);
        let farthest = self.candidates.iter().rev();
        let idle = farthest
            .filter(|(_, candidate)| matches!(candidate.state, State::Known | State::Answered));
        let dropped: Vec<_> = idle.take(excess).map(|(distance, _)| *distance).collect();
        for distance in dropped {
            self.candidates.remove(&distance);
        }
    }
}

/// Candidates that a path keeps, in multiples of `k`.
const CANDIDATES_PER_K: usize = 8;

/// Nodes that a path asks, in multiples of `k`, beside one for each bit of a key.
const QUESTIONS_PER_K: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    type TestLookup = Lookup<(), 2>;

    fn key(id: u16) -> Key<2> {
        Key::new(id.to_be_bytes())
    }

    fn node(id: u16) -> Node<(), 2> {
        Node::new(key(id), ())
    }

    fn lookup(k: usize, paths: usize, start: &[u16]) -> TestLookup {
        let config = LookupConfig { k: at_least(k), alpha: at_least(2), paths: at_least(paths) };
        Lookup::new(key(0), config, start.iter().copied().map(node))
    }

    fn asked(lookup: &mut TestLookup) -> Vec<u16> {
        std::iter::from_fn(|| lookup.next()).map(|node| number(&node)).collect()
    }

    fn number(node: &Node<(), 2>) -> u16 {
        u16::from_be_bytes(*node.id.as_bytes())
    }

    #[test]
    fn a_slow_node_gives_its_turn_to_another_and_is_awaited_at_the_end() {
        let mut lookup = lookup(3, 1, &[1, 2, 3]);
        assert_eq!(asked(&mut lookup), [1, 2]);
        lookup.delayed(&key(1));
        lookup.delayed(&key(1));
        assert_eq!(asked(&mut lookup), [3]);
        lookup.answered(&key(2), []);
        lookup.answered(&key(3), []);
        assert!(!lookup.is_done());
        lookup.answered(&key(1), [node(9)]);
        assert!(lookup.is_done(), "three have answered, and none that is known is nearer");
        assert_eq!(lookup.closest().map(number).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(lookup.hops(), 1);
    }

    #[test]
    fn an_outcome_counts_once_and_only_of_those_that_were_asked() {
        let mut lookup = lookup(4, 1, &[1, 2, 3]);
        lookup.answered(&key(3), [node(4)]);
        lookup.failed(&key(3));
        assert_eq!(asked(&mut lookup), [1, 2]);
        lookup.failed(&key(1));
        lookup.answered(&key(1), [node(5)]);
        lookup.answered(&key(2), []);
        lookup.failed(&key(2));
        assert_eq!(asked(&mut lookup), [3], "neither 4 nor 5 was told by someone that was asked");
        lookup.answered(&key(3), [node(1)]);
        assert!(lookup.is_done());
        assert_eq!(lookup.closest().map(number).collect::<Vec<_>>(), [2, 3]);
    }

    #[test]
    fn who_is_left_out_takes_no_turn() {
        let mut lookup = lookup(4, 1, &[1, 2, 3, 4]);
        assert_eq!(asked(&mut lookup), [1, 2]);
        lookup.exclude(key(1));
        lookup.exclude(key(4));
        assert_eq!(asked(&mut lookup), [3]);
        lookup.answered(&key(2), [node(4), node(1)]);
        lookup.answered(&key(3), []);
        assert!(lookup.is_done());
    }

    #[test]
    fn liars_who_name_ever_nearer_nodes_come_to_an_end() {
        let mut lookup = lookup(2, 1, &[u16::MAX]);
        let mut questions = 0;
        let mut named = u16::MAX;
        while !lookup.is_done() {
            for id in asked(&mut lookup) {
                questions += 1;
                named -= 2;
                lookup.answered(&key(id), [node(named), node(named + 1)]);
            }
        }
        assert_eq!(questions, 2 * 16 + 16);
        assert_eq!(lookup.next(), None);
        assert!(lookup.closest().count() <= 16);
    }

    /// A far node that is awaited once kept all others from being dropped.
    #[test]
    fn candidates_are_bounded_while_a_far_one_is_awaited() {
        let mut lookup = lookup(2, 1, &[u16::MAX, 40_000]);
        assert_eq!(asked(&mut lookup), [40_000, u16::MAX]);
        lookup.delayed(&key(u16::MAX));
        lookup.answered(&key(40_000), [node(30_000), node(30_001)]);
        for round in 0..20 {
            for id in asked(&mut lookup) {
                let named = 20_000 - 100 * round - 2 * (id % 2);
                lookup.answered(&key(id), [node(named), node(named + 1)]);
            }
        }
        let candidates = &lookup.paths[0].candidates;
        assert_eq!(candidates.len(), 16);
        assert!(candidates.values().any(|candidate| candidate.state == State::Delayed));
        lookup.answered(&key(u16::MAX), [node(1)]);
        assert_eq!(asked(&mut lookup)[0], 1);
    }

    #[test]
    fn paths_share_no_node() {
        let mut lookup = lookup(2, 2, &[10, 20]);
        assert_eq!(asked(&mut lookup), [10, 20]);
        lookup.answered(&key(10), [node(1), node(2)]);
        lookup.answered(&key(20), [node(1), node(3)]);
        let mut all = asked(&mut lookup);
        all.sort_unstable();
        assert_eq!(all, [1, 2, 3]);
        lookup.failed(&key(3));
        lookup.answered(&key(1), []);
        assert!(!lookup.is_done());
        lookup.answered(&key(2), []);
        assert!(lookup.is_done());
        assert_eq!(lookup.closest().map(number).collect::<Vec<_>>(), [1, 2, 10, 20]);
        assert_eq!(lookup.hops(), 2);
    }
}
