//! Rules that stand between nodes: what happens to what one says to another.

use crate::sim::NodeIndex;
use crate::streams::Draws;

/// What befalls everything that nodes of one set send to nodes of another, for as long as the rule
/// stands. Rules stack: each that fits has its say.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Whose words.
    pub from: NodeSet,
    /// To whom.
    pub to: NodeSet,
    /// What befalls them.
    pub effect: Effect,
}

/// What a [`Rule`] does.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Effect {
    /// Nothing gets through. What goes onto a link waits for the rule to end, as TCP repeats it;
    /// dials time out; datagrams are lost.
    Block,
    /// Everything takes so many microseconds longer.
    Delay(u64),
    /// A link carries no more than so many bytes a second.
    Bandwidth(u64),
    /// A message resets its link so often (0 to 1), and is lost with it; a datagram is lost.
    Break(f64),
}

/// A rule that stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RuleId(pub(crate) u64);

/// A set of nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeSet {
    words: Vec<u64>,
    /// Whether nodes beyond the words are in it.
    beyond: bool,
}

impl NodeSet {
    /// All nodes, those still to come included.
    #[must_use]
    pub fn all() -> Self {
        Self { words: Vec::new(), beyond: true }
    }

    /// All nodes that are not in this set, those still to come included.
    #[must_use]
    pub fn others(&self) -> Self {
        let words = self.words.iter().map(|word| !word).collect();
        Self { words, beyond: !self.beyond }
    }

    /// Whether a node is in it.
    #[must_use]
    pub fn contains(&self, node: NodeIndex) -> bool {
        let word = self.words.get(node.0 as usize / 64);
        word.map_or(self.beyond, |word| word >> (node.0 % 64) & 1 == 1)
    }
}

impl FromIterator<NodeIndex> for NodeSet {
    fn from_iter<I: IntoIterator<Item = NodeIndex>>(nodes: I) -> Self {
        let mut words = Vec::new();
        for NodeIndex(node) in nodes {
            let word = node as usize / 64;
            if words.len() <= word {
                words.resize(word + 1, 0);
            }
            words[word] |= 1 << (node % 64);
        }
        Self { words, beyond: false }
    }
}

/// The rules that stand.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    standing: Vec<Standing>,
    next: u64,
    /// Nodes among which no rule holds.
    spared: Option<NodeSet>,
}

#[derive(Debug)]
struct Standing {
    id: RuleId,
    rule: Rule,
    hits: u64,
}

/// What the rules say of one thing on its way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Verdict {
    pub(crate) blocked: bool,
    pub(crate) breaks: bool,
    pub(crate) delay: u64,
    pub(crate) bandwidth: u64,
}

impl Verdict {
    pub(crate) const FREE: Self =
        Self { blocked: false, breaks: false, delay: 0, bandwidth: u64::MAX };
}

impl Rules {
    pub(crate) fn add(&mut self, rule: Rule) -> RuleId {
        let id = RuleId(self.next);
        self.next += 1;
        self.standing.push(Standing { id, rule, hits: 0 });
        id
    }

    /// How often it has had an effect.
    pub(crate) fn remove(&mut self, id: RuleId) -> u64 {
        let Some(at) = self.standing.iter().position(|standing| standing.id == id) else {
            return 0;
        };
        self.standing.remove(at).hits
    }

    pub(crate) fn hits(&self, id: RuleId) -> u64 {
        self.standing.iter().find(|standing| standing.id == id).map_or(0, |standing| standing.hits)
    }

    pub(crate) fn spare(&mut self, nodes: Option<NodeSet>) {
        self.spared = nodes;
    }

    /// What becomes of something that is sent.
    #[inline]
    pub(crate) fn judge(&mut self, from: NodeIndex, to: NodeIndex, draws: &mut Draws) -> Verdict {
        if self.standing.is_empty() { Verdict::FREE } else { self.weigh(from, to, draws) }
    }

    fn weigh(&mut self, from: NodeIndex, to: NodeIndex, draws: &mut Draws) -> Verdict {
        let mut verdict = Verdict::FREE;
        let spared = |set: &NodeSet| set.contains(from) && set.contains(to);
        if self.spared.as_ref().is_some_and(spared) {
            return verdict;
        }
        for Standing { rule, hits, .. } in &mut self.standing {
            if !rule.from.contains(from) || !rule.to.contains(to) {
                continue;
            }
            match rule.effect {
                Effect::Block => verdict.blocked = true,
                Effect::Delay(micros) => verdict.delay += micros,
                Effect::Bandwidth(bytes) => verdict.bandwidth = verdict.bandwidth.min(bytes),
                Effect::Break(share) if draws.chance(share) => verdict.breaks = true,
                Effect::Break(_) => continue,
            }
            *hits += 1;
        }
        verdict
    }

    /// Whether nothing gets through now, without counting it.
    pub(crate) fn is_blocked(&self, from: NodeIndex, to: NodeIndex) -> bool {
        let spared = |set: &NodeSet| set.contains(from) && set.contains(to);
        !self.spared.as_ref().is_some_and(spared)
            && self.standing.iter().any(|Standing { rule, .. }| {
                rule.effect == Effect::Block && rule.from.contains(from) && rule.to.contains(to)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(index: u32) -> NodeIndex {
        NodeIndex(index)
    }

    #[test]
    fn a_set_holds_its_nodes_and_the_others_are_all_the_rest() {
        let set: NodeSet = [node(3), node(64), node(200)].into_iter().collect();
        let others = set.others();
        for index in 0..1_000 {
            let inside = [3, 64, 200].contains(&index);
            assert_eq!(set.contains(node(index)), inside);
            assert_eq!(others.contains(node(index)), !inside);
            assert!(NodeSet::all().contains(node(index)));
        }
        assert_eq!(others.others(), set);
    }

    #[test]
    fn rules_stack_and_count_what_they_did() {
        let mut rules = Rules::default();
        let mut draws = Draws::new(1, "test", 0);
        let half: NodeSet = [node(0)].into_iter().collect();
        let one = rules.add(Rule { from: half.clone(), to: NodeSet::all(), effect: Effect::Block });
        let slow = Effect::Delay(5);
        let two = rules.add(Rule { from: NodeSet::all(), to: NodeSet::all(), effect: slow });
        let verdict = rules.judge(node(0), node(1), &mut draws);
        assert_eq!(verdict, Verdict { blocked: true, delay: 5, ..Verdict::FREE });
        let back = rules.judge(node(1), node(0), &mut draws);
        assert_eq!(back, Verdict { delay: 5, ..Verdict::FREE });
        assert_eq!((rules.hits(one), rules.hits(two)), (1, 2));
        rules.spare(Some([node(0), node(1)].into_iter().collect()));
        assert_eq!(rules.judge(node(0), node(1), &mut draws), Verdict::FREE);
        assert!(!rules.is_blocked(node(0), node(1)) && rules.is_blocked(node(0), node(2)));
        assert_eq!((rules.remove(one), rules.remove(one)), (1, 0));
    }
}
