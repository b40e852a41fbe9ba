//! The ring: who comes next, and after whom (P. Zave, "Reasoning about identifier spaces: how to
//! make Chord correct", 2017).
//!
//! Every member knows the next few members, its *successor list*, and its *predecessor*. Nothing
//! else has to be right for the ring to be one: fingers are speed. A member now and then asks its
//! successor what that knows, and thereby learns of members that have come between them; then it
//! tells its successor that it is there. As published at first, Chord could lose its ring; these
//! are the rules that keep it:
//!
//! - Who joins has the successor list of its predecessor before it is a member.
//! - A node takes another for its successor only once that one has answered.
//! - A list is always that of the successor, with the successor in front and its last entry left
//!   out.
//! - A predecessor is replaced by one that lies nearer, or when it is dead; never forgotten before.
//!
//! Then every member has a live successor, as long as fewer neighbours die at once than the list is
//! long, and at least one more members than the list is long are left out by nobody's list. A ring
//! is therefore born with that many members.

/// What a member knows of its neighbours.
///
/// Messages, time and liveness are the caller's: it sends what [`Step`] says and reports what comes
/// back.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ring<I> {
    me: I,
    length: usize,
    /// The nearest first. Nodes that are known to be dead are not in it.
    successors: Vec<I>,
    predecessor: Option<I>,
}

/// What a member tells of its neighbours when it is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct View<I> {
    /// Who is before it.
    pub predecessor: Option<I>,
    /// Who is behind it, the nearest first.
    pub successors: Vec<I>,
}

/// What follows from an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<I> {
    /// Somebody lies between this member and its successor: ask them, too.
    Ask(I),
    /// Tell this successor that this member is before it.
    Notify(I),
}

impl<I: Copy + Ord> Ring<I> {
    /// A member of a ring that is born with these members; at least one more than `length` of them,
    /// this one counted, make it safe.
    #[must_use]
    pub fn born(me: I, length: usize, members: &[I]) -> Self {
        let mut others: Vec<I> = members.iter().copied().filter(|member| *member != me).collect();
        others.sort_unstable();
        let behind = others.partition_point(|other| *other < me);
        others.rotate_left(behind);
        let predecessor = others.last().copied();
        others.truncate(length);
        Self { me, length, successors: others, predecessor }
    }

    /// A member that has just joined behind `predecessor`, which has told what it knows.
    #[must_use]
    pub fn joined(me: I, length: usize, predecessor: I, view: &View<I>) -> Self {
        let mut ring = Self { me, length, successors: Vec::new(), predecessor: Some(predecessor) };
        let list = view.successors.iter().copied();
        ring.successors = list.filter(|it| *it != me).take(length).collect();
        if ring.successors.is_empty() {
            ring.successors.push(predecessor);
        }
        ring
    }

    /// This member.
    #[must_use]
    pub fn me(&self) -> I {
        self.me
    }

    /// Who comes next; nobody for who is alone.
    #[must_use]
    pub fn successor(&self) -> Option<I> {
        self.successors.first().copied()
    }

    /// The next members, the nearest first.
    #[must_use]
    pub fn successors(&self) -> &[I] {
        &self.successors
    }

    /// Who comes before.
    #[must_use]
    pub fn predecessor(&self) -> Option<I> {
        self.predecessor
    }

    /// What it tells who asks.
    #[must_use]
    pub fn view(&self) -> View<I> {
        View { predecessor: self.predecessor, successors: self.successors.clone() }
    }

    /// Whether a position belongs to this member: from its own id on, up to its successor.
    #[must_use]
    pub fn owns(&self, position: I) -> bool {
        position == self.me || self.successor().is_none_or(|next| between(self.me, position, next))
    }

    /// Somebody has told what they know: this member's successor, or who lies before that
    /// ([`Step::Ask`]). Others are not listened to.
    pub fn on_view(&mut self, from: I, view: &View<I>) -> Option<Step<I>> {
        let is_near = |next| from == next || between(self.me, from, next);
        if from == self.me || !self.successor().is_none_or(is_near) {
            return None;
        }
        let rest = view.successors.iter().copied();
        // In a ring smaller than the list it would come round to this member.
        let rest = rest.take_while(|it| *it != self.me && *it != from);
        self.successors = std::iter::once(from).chain(rest).take(self.length).collect();
        match view.predecessor {
            Some(nearer) if between(self.me, nearer, from) => Some(Step::Ask(nearer)),
            _ => Some(Step::Notify(from)),
        }
    }

    /// Somebody says that it is before this member.
    pub fn on_notify(&mut self, from: I, is_predecessor_dead: bool) {
        let is_nearer = |known| between(known, from, self.me);
        if from != self.me && (is_predecessor_dead || self.predecessor.is_none_or(is_nearer)) {
            self.predecessor = Some(from);
        }
        if self.successors.is_empty() && from != self.me {
            // Who was alone has a neighbour now.
            self.successors.push(from);
        }
    }

    /// A node is dead. The next one in the list takes its place; who that one's neighbours are is
    /// to be asked.
    pub fn on_dead(&mut self, node: I) {
        self.successors.retain(|it| *it != node);
    }
}

/// Whether `x` lies behind `a` and before `b`, going round clockwise. Everything but `a` lies
/// between `a` and itself.
pub fn between<I: Ord>(a: I, x: I, b: I) -> bool {
    if a < b { a < x && x < b } else { x != a && x != b && (a < x || x < b) }
}

#[cfg(test)]
mod tests;
