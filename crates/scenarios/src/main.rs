//! `simnet`: runs scenarios in the simulator. `cargo xtask simnet` builds and starts it.

fn main() {}
