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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rs2p_wire::IdForm;
    use serde_json::Value as Json;

    use super::*;
    use crate::owner::Owners;

    /// The receiver's clock in every row.
    const NOW: u64 = 1_700_000_000;

    fn file() -> Json {
        let path = "../../tests/vectors/sync_frames.json";
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
    }

    #[test]
    fn the_rule_gives_what_both_references_gave_in_every_row() {
        let file = file();
        let rows = file["lease_table"].as_array().unwrap();
        let mut owners = Owners::default();
        let mut owner = |name: &Json| owners.intern(name.as_str()?.as_bytes(), IdForm::Bin);
        for row in rows {
            let held = owner(&row["held_owner"]).zip(row["held_time"].as_u64());
            let (new, time) =
                (owner(&row["new_owner"]).unwrap(), row["new_time"].as_u64().unwrap());
            let (leasing, is_delta) = (row["leasing"] == true, row["delta"] == true);
            let held = held.as_ref().map(|(owner, time)| (owner, *time));
            let permitted = permits(leasing, is_delta, held, (&new, time), NOW, LEASE);
            assert_eq!(permitted, row["allowed"] == true, "{row}");
        }
        assert_eq!(rows.len(), 174);
    }

    #[test]
    fn a_longer_or_shorter_lease_is_kept_to_the_second() {
        let mut owners = Owners::default();
        let mut owner = |name: &str| owners.intern(name.as_bytes(), IdForm::Bin).unwrap();
        let (holder, other) = (owner("a"), owner("b"));
        for lease in [1, 10, LEASE, LONGEST] {
            let end = NOW + u64::from(lease);
            let may = |now| permits(true, false, Some((&holder, NOW)), (&other, now), now, lease);
            assert!(!may(end) && may(end + 1), "{lease}");
        }
        let held = Some((&holder, u64::MAX));
        assert!(!permits(true, false, held, (&other, NOW), NOW, LEASE));
    }
}
