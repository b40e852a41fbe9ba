//! Runs spread over the cores.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use rs2p_simnet::{Outcome, ScenarioError};

use super::one;
use super::plan::{Job, Plan};
use super::progress::Progress;

/// Runs the jobs on so many threads, one at a time on each, and hands over what each came to as
/// it ends: in no order that means anything. The longest one runs alone at first if `one_alone`:
/// memory is measured over the whole process.
///
/// # Errors
/// A scenario is refused; it is told by its place in the plan. What has not begun is left.
pub(crate) fn run(
    plan: &Plan,
    jobs: &[Job],
    threads: usize,
    one_alone: bool,
    progress: &Progress,
    mut ended: impl FnMut(&Job, Outcome),
) -> Result<(), (usize, ScenarioError)> {
    let mut order = longest_first(jobs);
    let first = order.first().map(|&at| &jobs[at]);
    let run = |job: &Job| {
        let mut share = progress.share(job);
        let mut outcome = one::run(&plan.request(job), &mut |done| share.is(done))?;
        share.is(1.0);
        if first != Some(job) {
            // It used again what earlier runs had given back, and looks smaller than it is.
            outcome.speed.bytes_per_node = None;
        }
        Ok(outcome)
    };
    if one_alone && !order.is_empty() {
        let job = &jobs[order.remove(0)];
        ended(job, run(job).map_err(|error: ScenarioError| (job.place, error))?);
    }
    let next = AtomicUsize::new(0);
    let (give, take) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..threads.min(order.len()) {
            let give = give.clone();
            let work = || {
                // Moved in, so that the last thread that ends closes the channel.
                let give = give;
                while let Some(job) =
                    order.get(next.fetch_add(1, Ordering::Relaxed)).and_then(|&at| jobs.get(at))
                {
                    if give.send((job, run(job))).is_err() {
                        break;
                    }
                }
            };
            scope.spawn(work);
        }
        drop(give);
        for (job, outcome) in take {
            match outcome {
                Ok(outcome) => ended(job, outcome),
                Err(error) => {
                    next.store(order.len(), Ordering::Relaxed);
                    return Err((job.place, error));
                }
            }
        }
        Ok(())
    })
}

/// A long run that begins last would leave the other cores idle.
fn longest_first(jobs: &[Job]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..jobs.len()).collect();
    order.sort_by_key(|&at| std::cmp::Reverse(jobs[at].weight));
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_begins_first_and_equals_keep_their_order() {
        let jobs = [(0, 5), (1, 9), (2, 5), (3, 1)];
        let jobs = jobs.map(|(seed, weight)| Job { place: 0, seed, weight });
        assert_eq!(longest_first(&jobs), [1, 0, 2, 3]);
    }
}
