//! What idle nodes and links take.

use std::time::Duration;

use rs2p::mesh::MeshSocket;
use tokio::runtime::Runtime;

use crate::nodes::node;

const NODES: usize = 50;
/// Links that each node opens, so that each has twice as many: the usual number in a mesh.
const DIALLED: usize = 4;

const IDLE: Duration = Duration::from_secs(10);

/// Hundredths of a second that this process has run, as Linux counts them.
fn cpu_ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// Prints what an idle node takes, and what a link takes at each of its ends.
pub(crate) fn print(runtime: &Runtime) {
    // What the first node brings along for all is not a node's.
    runtime.block_on(async {
        let (one, other) = (node().await, node().await);
        one.connect(other.address().unwrap()).await.unwrap();
    });
    let mut nodes: Vec<MeshSocket> = Vec::with_capacity(NODES);
    let idle = allocation_counter::measure(|| {
        runtime.block_on(async {
            for _ in 0..NODES {
                nodes.push(node().await);
            }
        });
    });
    println!("{:>12} per node", idle.bytes_current / NODES as i64);
    let linked = allocation_counter::measure(|| {
        runtime.block_on(async {
            for (index, node) in nodes.iter().enumerate() {
                for step in 1..=DIALLED {
                    let other = &nodes[(index + step) % NODES];
                    node.connect(other.address().unwrap()).await.unwrap();
                }
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        });
    });
    let ends: usize = nodes.iter().map(|node| node.peers().unwrap().len()).sum();
    println!("{:>12} per link, at each of its {ends} ends", linked.bytes_current / ends as i64);
    let before = cpu_ticks();
    runtime.block_on(async { tokio::time::sleep(IDLE).await });
    let spent = (cpu_ticks() - before) * 10;
    println!("{spent:>12} ms of processor time of {NODES} idle nodes in {} s", IDLE.as_secs());
    let _context = runtime.enter();
    drop(nodes);
}
