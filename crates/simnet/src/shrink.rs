//! Finding the few that matter.

/// The fewest `items` that still make `fails` true, as far as leaving out parts of them finds:
/// delta debugging (Zeller and Hildebrandt, 2002). None can be left out of what comes back.
///
/// `fails` is asked some n log n times where few items matter, and n² times at the worst. All
/// items come back when they do not fail together.
pub fn shrink<T: Clone>(items: &[T], mut fails: impl FnMut(&[T]) -> bool) -> Vec<T> {
    if !fails(items) {
        return items.to_vec();
    }
    let mut needed = items.to_vec();
    let mut parts = 2;
    while !needed.is_empty() {
        let size = needed.len().div_ceil(parts);
        let without = (0..needed.len()).step_by(size).find_map(|from| {
            let (before, rest) = needed.split_at(from);
            let left = [before, &rest[size.min(rest.len())..]].concat();
            fails(&left).then_some(left)
        });
        match without {
            Some(left) => {
                needed = left;
                parts = (parts - 1).max(2);
            }
            None if size == 1 => break,
            None => parts = (2 * parts).min(needed.len()),
        }
    }
    needed
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_matters_is_left_and_nothing_else(
            count in 0usize..60, needed in prop::collection::btree_set(0usize..60, 0..5),
        ) {
            let items: Vec<usize> = (0..count).collect();
            let mut asked = 0;
            let shrunk = shrink(&items, |items| {
                asked += 1;
                needed.iter().all(|item| items.contains(item))
            });
            if needed.iter().all(|item| *item < count) {
                prop_assert_eq!(shrunk, needed.iter().copied().collect::<Vec<_>>());
            } else {
                prop_assert_eq!(shrunk, items);
            }
            prop_assert!(asked <= 2 + count * count);
        }
    }
}
