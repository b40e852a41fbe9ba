//! Dictionaries of ours in one network with those of py2p and js2p.

mod bridge;
mod chronicler;
mod comebacks;
mod deltas;
pub(crate) mod dictionary;
mod extensions;
mod joining;
mod leases;
mod peer;
mod ties;
mod without_leases;
mod writes;
