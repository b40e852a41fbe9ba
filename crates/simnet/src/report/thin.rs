//! Fewer points that draw the same line.

/// At most about `most` of the points. Of each run of neighbours the lowest and the highest stay,
/// so that no peak is lost, and of the whole the first and the last.
pub(super) fn thinned(points: &[(f64, f64)], most: usize) -> Vec<(f64, f64)> {
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return Vec::new() };
    if points.len() <= most.max(4) {
        return points.to_vec();
    }
    let inner = &points[1..points.len() - 1];
    let runs = (most.max(4) - 2) / 2;
    let mut kept = vec![*first];
    for run in 0..runs {
        let from = run * inner.len() / runs;
        let to = (run + 1) * inner.len() / runs;
        kept.extend(extremes(&inner[from..to]));
    }
    kept.push(*last);
    kept
}

/// The lowest and the highest, in the order in which they come.
fn extremes(points: &[(f64, f64)]) -> impl Iterator<Item = (f64, f64)> {
    let by_value = |one: &usize, other: &usize| points[*one].1.total_cmp(&points[*other].1);
    let lowest = (0..points.len()).min_by(by_value);
    let highest = (0..points.len()).max_by(by_value).filter(|place| Some(*place) != lowest);
    let (first, second) = if highest < lowest { (highest, lowest) } else { (lowest, highest) };
    first.into_iter().chain(second).map(|place| points[place])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_line_stays_as_it_is() {
        let points = [(0.0, 1.0), (1.0, 3.0), (2.0, 2.0)];
        assert_eq!(thinned(&points, 600), points);
        assert_eq!(thinned(&[], 600), []);
    }

    #[test]
    fn peaks_survive_in_the_order_of_time() {
        let mut points: Vec<(f64, f64)> =
            (0..100_000).map(|at| (f64::from(at), f64::from(at % 7))).collect();
        points[43_210].1 = 99.0;
        points[43_211].1 = -99.0;
        let thin = thinned(&points, 600);
        assert!((400..=600).contains(&thin.len()), "{}", thin.len());
        assert!(thin.contains(&(43_210.0, 99.0)) && thin.contains(&(43_211.0, -99.0)));
        assert!(thin.is_sorted_by(|one, other| one.0 < other.0));
        assert_eq!((thin.first(), thin.last()), (points.first(), points.last()));
    }

    #[test]
    fn a_level_line_stays_level_and_no_point_comes_twice() {
        let points: Vec<(f64, f64)> = (0..10_000).map(|at| (f64::from(at), 5.0)).collect();
        let thin = thinned(&points, 600);
        assert!(thin.is_sorted_by(|one, other| one.0 < other.0));
        assert!(thin.iter().all(|point| point.1 == 5.0));
    }
}
