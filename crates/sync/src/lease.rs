//! Who may write a key (spec section 9).

use crate::owner::Owner;

/// How long a write closes a key to others, in seconds, unless its author chose otherwise.
pub(crate) const LEASE: u32 = 3_600;
/// The longest lease that counts, in seconds: thirty days.
pub(crate) const LONGEST: u32 = 30 * 24 * 3_600;

/// The originals' rule: whether a write at `new_time` may replace what is held, at the time `now`
/// of the receiver's clock. All times are in seconds; `lease` is how long what is held is
/// protected.
///
/// It looks at one write after the other, and so depends on the order in which they come.
/// [`Version`](crate::version::Version) settles what it leaves open.
pub(crate) fn permits(
    leasing: bool,
    is_delta: bool,
    held: Option<(&Owner, u64)>,
    (new_owner, new_time): (&Owner, u64),
    now: u64,
    lease: u32,
) -> bool {
    let Some((owner, time)) = held else { return true };
    owner == new_owner
        || (is_delta && !leasing)
        || time.saturating_add(lease.into()) < now
        || (time == new_time && owner > new_owner)
        || (time < new_time && !leasing)
}
