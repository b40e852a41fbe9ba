//! Network namespaces: each node has a network card of its own, plugged into a bridge.
//!
//! The bridges are in a namespace made for the purpose, so nothing of this can be seen from the
//! machine's own network. A partition is a second bridge, into which the nodes of one side are
//! plugged.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use rand::RngExt as _;
use rs2p_simnet::{Fault, Network, PlannedFault, stream};

use super::place::Powers;
use super::process::apart;
use super::{Interrupts, RealError};

/// The namespaces of a run. Dropping it removes them.
#[derive(Debug)]
pub(super) struct Netns {
    /// With which all names begin.
    prefix: String,
    powers: Powers,
    network: Network,
    seed: u64,
    interrupts: Interrupts,
    /// How many nodes have a namespace.
    settled: usize,
    /// Who is on one side of each partition.
    cuts: BTreeMap<usize, BTreeSet<usize>>,
    /// The bridges: those that are plugged into one are on the same side of these partitions.
    bridges: Vec<BTreeSet<usize>>,
    /// Into which bridge each node is plugged.
    plugged: Vec<usize>,
    /// Faults that make a node's card slow or narrow.
    weights: BTreeMap<usize, (Fault, Vec<usize>)>,
}

impl Netns {
    /// Makes the namespace of the bridges, and finds out what the system can do.
    ///
    /// # Errors
    /// The system does not let us, with what would help.
    pub(super) fn make(
        network: &Network,
        seed: u64,
        interrupts: &Interrupts,
    ) -> Result<Self, RealError> {
        sweep();
        let mut netns = Self {
            prefix: format!("{NAME}{}-", std::process::id()),
            powers: Powers { is_netns: true, delays: false, narrows: false },
            network: network.clone(),
            seed,
            interrupts: interrupts.clone(),
            settled: 0,
            cuts: BTreeMap::new(),
            bridges: Vec::new(),
            plugged: Vec::new(),
            weights: BTreeMap::new(),
        };
        let hub = netns.hub();
        run(Command::new("ip").args(["netns", "add", &hub]))?;
        run(Command::new("ip").args(["-n", &hub, "link", "set", "lo", "up"]))?;
        let can = |queue: &[&str]| {
            let mut command = Command::new("tc");
            command.args(["-n", &hub, "qdisc", "replace", "dev", "lo", "root"]).args(queue);
            match run(&mut command) {
                Err(RealError::NoTool { .. }) => Err(RealError::NoTool { tool: "tc" }),
                other => Ok(other.is_ok()),
            }
        };
        let delays = can(&["netem", "delay", "1ms"])?;
        let narrows = can(&["tbf", "rate", "1mbit", "burst", "16kb", "latency", "1s"])?;
        netns.powers = Powers { delays, narrows, ..netns.powers };
        netns.bridge(&BTreeSet::new())?;
        Ok(netns)
    }

    pub(super) fn powers(&self) -> Powers {
        self.powers
    }

    pub(super) fn host(&self, node: usize) -> String {
        format!("10.77.{}.{}", node / 250, 1 + node % 250)
    }

    pub(super) fn command(&self, node: usize, program: &Path) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name(node)]).arg(program);
        command
    }

    /// Makes a node's namespace, and plugs its card in.
    pub(super) fn settle(&mut self, node: usize) -> Result<(), RealError> {
        if self.interrupts.came() {
            return Err(RealError::Interrupted);
        }
        let (hub, name, host) = (self.hub(), self.name(node), self.host(node));
        self.settled = self.settled.max(node + 1);
        batch(
            &[],
            &format!(
                "netns add {name}\n\
                 link add v{node} netns {hub} type veth peer name {CARD} netns {name}\n"
            ),
        )?;
        batch(
            &["-n", &name],
            &format!("addr add {host}/16 dev {CARD}\nlink set {CARD} up\nlink set lo up\n"),
        )?;
        batch(&["-n", &hub], &format!("link set v{node} master br0\nlink set v{node} up\n"))?;
        self.plugged.resize(self.plugged.len().max(node + 1), 0);
        if self.queue(node) == UNQUEUED { Ok(()) } else { self.shape(node) }
    }

    /// Pulls a node's card out, or plugs it in again.
    pub(super) fn plug(&mut self, node: usize, is_in: bool) -> Result<(), RealError> {
        let state = if is_in { "up" } else { "down" };
        let (hub, card) = (self.hub(), format!("v{node}"));
        run(Command::new("ip").args(["-n", &hub, "link", "set", &card, state]))
    }

    pub(super) fn is_cut(&self, one: usize, other: usize) -> bool {
        self.cuts.values().any(|side| side.contains(&one) != side.contains(&other))
    }

    pub(super) fn disturb(
        &mut self,
        fault: &PlannedFault,
        nodes: &[usize],
    ) -> Result<(), RealError> {
        match &fault.fault {
            Fault::Partition { .. } => {
                self.cuts.insert(fault.number, nodes.iter().copied().collect());
                self.plug_together()
            }
            Fault::Delay { .. } | Fault::Narrow { .. } => {
                self.weights.insert(fault.number, (fault.fault.clone(), nodes.to_vec()));
                nodes.iter().try_for_each(|node| self.shape(*node))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn mend(&mut self, number: usize) -> Result<(), RealError> {
        if self.cuts.remove(&number).is_some() {
            self.plug_together()?;
        }
        match self.weights.remove(&number) {
            Some((_, nodes)) => nodes.iter().try_for_each(|node| self.shape(*node)),
            None => Ok(()),
        }
    }

    /// Plugs each node into the bridge of those that nothing cuts it off from.
    fn plug_together(&mut self) -> Result<(), RealError> {
        let mut moves = String::new();
        for node in 0..self.plugged.len() {
            let side = side(&self.cuts, node);
            let bridge = self.bridge(&side)?;
            if self.plugged[node] != bridge {
                self.plugged[node] = bridge;
                moves.push_str(&format!("link set v{node} master br{bridge}\n"));
            }
        }
        batch(&["-n", &self.hub()], &moves)
    }

    /// The bridge of one side; it is made if there is none.
    fn bridge(&mut self, side: &BTreeSet<usize>) -> Result<usize, RealError> {
        if let Some(number) = self.bridges.iter().position(|bridge| bridge == side) {
            return Ok(number);
        }
        let number = self.bridges.len();
        let hub = self.hub();
        batch(
            &["-n", &hub],
            &format!("link add br{number} type bridge\nlink set br{number} up\n"),
        )?;
        self.bridges.push(side.clone());
        Ok(number)
    }

    /// Makes a node's card as slow and narrow as its network and the faults want it.
    fn shape(&self, node: usize) -> Result<(), RealError> {
        let (name, queue) = (self.name(node), self.queue(node));
        let mut command = Command::new("tc");
        command.args(["-n", &name, "qdisc", "replace", "dev", CARD, "root"]);
        run(command.args(queue.split(' ')))
    }

    fn queue(&self, node: usize) -> String {
        let on_it = self.weights.values().filter(|(_, nodes)| nodes.contains(&node));
        let faults: Vec<&Fault> = on_it.map(|(fault, _)| fault).collect();
        let latency = self.powers.delays.then(|| {
            let (shortest, longest) = self.network.latency.between(0, 0);
            let own = stream(self.seed, "card", node as u64).random_range(shortest..=longest);
            (own, self.network.jitter)
        });
        queue(latency, self.network.bandwidth, &faults)
    }

    fn hub(&self) -> String {
        format!("{}hub", self.prefix)
    }

    fn name(&self, node: usize) -> String {
        format!("{}{node}", self.prefix)
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        let mut names = format!("netns del {}\n", self.hub());
        for node in 0..self.settled {
            names.push_str(&format!("netns del {}\n", self.name(node)));
        }
        // Some may not have been made; what is left over, the next run removes.
        _ = batch(&["-force"], &names);
    }
}

/// The partitions that have a node on their side.
fn side(cuts: &BTreeMap<usize, BTreeSet<usize>>, node: usize) -> BTreeSet<usize> {
    cuts.iter().filter(|(_, nodes)| nodes.contains(&node)).map(|(number, _)| *number).collect()
}

/// The queue in front of a card, in the words of tc(8): a latency and its jitter in microseconds,
/// where messages can be made late at all, and bytes a second.
fn queue(latency: Option<(u64, u64)>, bandwidth: Option<u64>, faults: &[&Fault]) -> String {
    let narrowest = faults.iter().filter_map(|fault| match fault {
        Fault::Narrow { bandwidth } => Some(*bandwidth),
        _ => None,
    });
    let rate = narrowest.chain(bandwidth).min();
    let lateness = faults.iter().map(|fault| if let Fault::Delay { by } = fault { *by } else { 0 });
    match (latency, rate) {
        (Some((latency, jitter)), rate) => {
            // netem varies to both sides of its delay.
            let delay = latency + lateness.sum::<u64>() + jitter / 2;
            let rate = rate.map_or(String::new(), |rate| format!(" rate {}bit", rate * 8));
            format!("netem delay {delay}us {}us limit 100000{rate}", jitter / 2)
        }
        (None, Some(rate)) => {
            // A hundredth of a second's bytes may go at once, and no less than a packet.
            let burst = (rate / 100).max(2_000);
            format!("tbf rate {}bit burst {burst}b latency 1s", rate * 8)
        }
        (None, None) => UNQUEUED.to_owned(),
    }
}

/// Removes what runs have left behind that were ended by force.
fn sweep() {
    for entry in fs::read_dir("/run/netns").into_iter().flatten().flatten() {
        let Ok(name) = entry.file_name().into_string() else { continue };
        let owner = name.strip_prefix(NAME).and_then(|rest| rest.split('-').next());
        if let Some(owner) = owner.and_then(|owner| owner.parse::<u32>().ok())
            && !Path::new("/proc").join(owner.to_string()).exists()
        {
            _ = run(Command::new("ip").args(["netns", "del", &name]));
        }
    }
}

/// Runs `ip` with these lines.
fn batch(options: &[&str], lines: &str) -> Result<(), RealError> {
    if lines.is_empty() {
        return Ok(());
    }
    let mut command = Command::new("ip");
    command.args(options).args(["-batch", "-"]);
    run_with(&mut command, lines)
}

fn run(command: &mut Command) -> Result<(), RealError> {
    run_with(command, "")
}

fn run_with(command: &mut Command, input: &str) -> Result<(), RealError> {
    apart(command);
    let line = || {
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
    };
    let line = line();
    let failed = |cause: String| RealError::Netns { line: line.clone(), cause };
    let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    let mut child = child.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => RealError::NoTool { tool: "ip" },
        _ => failed(error.to_string()),
    })?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that does not read its input has a reason, and tells it.
        _ = stdin.write_all(input.as_bytes());
    }
    let ended = child.wait_with_output().map_err(|error| failed(error.to_string()))?;
    if ended.status.success() {
        return Ok(());
    }
    Err(failed(String::from_utf8_lossy(&ended.stderr).trim().replace('\n', "; ")))
}

/// The queue that a card of this kind has by itself.
const UNQUEUED: &str = "noqueue";
/// Of a node's card, in its namespace.
const CARD: &str = "eth0";
/// With which the names of our namespaces begin, before the number of the process.
const NAME: &str = "rs2p-sim-";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_is_as_slow_as_the_network_and_the_faults_together() {
        let (late, later) = (Fault::Delay { by: 5_000 }, Fault::Delay { by: 1_000 });
        let narrow = Fault::Narrow { bandwidth: 1_000 };
        let netem = |faults: &[&Fault]| queue(Some((10_000, 2_000)), Some(50_000), faults);
        assert_eq!(netem(&[]), "netem delay 11000us 1000us limit 100000 rate 400000bit");
        assert_eq!(
            netem(&[&late, &later, &narrow]),
            "netem delay 17000us 1000us limit 100000 rate 8000bit"
        );
        assert_eq!(queue(None, None, &[&narrow]), "tbf rate 8000bit burst 2000b latency 1s");
        assert_eq!(queue(None, None, &[]), "noqueue");
    }

    #[test]
    fn nodes_that_no_partition_parts_share_a_bridge() {
        let cuts = BTreeMap::from([(0, BTreeSet::from([1, 2])), (3, BTreeSet::from([2, 4]))]);
        let sides = [0, 1, 2, 4, 5].map(|node| side(&cuts, node));
        assert_eq!(sides[0], sides[4]);
        let different: BTreeSet<_> = sides.into_iter().collect();
        assert_eq!(different.len(), 4);
    }
}
