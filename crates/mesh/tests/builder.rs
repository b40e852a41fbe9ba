//! How a node of any layer starts.
#![cfg(feature = "net")]

use rs2p_base::net::ListenError;
use rs2p_base::{Endpoint, NodeId};
use rs2p_mesh::{Birth, LayerBuilder, StartError};

#[tokio::test]
async fn a_machine_is_made_when_its_node_is_bound() {
    let mut birth = None;
    let make = |at_birth: Birth| {
        birth = Some(at_birth.clone());
        at_birth.mesh()
    };
    let started = LayerBuilder::new("counter").rng_seed(7).start(make).await.unwrap();
    let birth = birth.unwrap();
    assert_eq!(birth.seed, 7);
    assert_eq!(birth.id, started.id);
    assert_eq!(birth.advertised, started.address.map(Endpoint::from));
    assert_ne!(started.address.unwrap().port(), 0);
    let local = started.node.call(|mesh, _| mesh.local().clone()).unwrap();
    assert_eq!(local.id(), started.id);
}

#[tokio::test]
async fn what_is_given_is_not_chosen() {
    let id = NodeId::from_bytes([7; 48]);
    let advertised: Endpoint = "192.0.2.7:4444".parse().unwrap();
    let builder = LayerBuilder::new("counter").id(id).advertise(advertised.clone()).listen(None);
    let mut birth = None;
    let make = |at_birth: Birth| birth.insert(at_birth).clone().mesh();
    let started = builder.start(make).await.unwrap();
    assert_eq!((started.id, started.address), (id, None));
    assert_eq!(birth.unwrap().advertised, Some(advertised));
}

#[tokio::test]
async fn a_layer_may_add_to_the_name_of_the_network() {
    let mut subnet = String::new();
    let make = |birth: Birth| {
        subnet.push_str(birth.protocol.subnet());
        birth.mesh()
    };
    LayerBuilder::new("counter").subnet("mine").extend_subnet("1").start(make).await.unwrap();
    assert_eq!(subnet, "mine1");
}

#[tokio::test]
async fn nothing_is_made_where_it_cannot_listen() {
    let taken = LayerBuilder::new("counter").start(Birth::mesh).await.unwrap();
    let builder = LayerBuilder::new("counter").listen(taken.address.unwrap());
    let make = |_: Birth| panic!("there is no node to make it for");
    let error = builder.start::<rs2p_mesh::Mesh>(make).await.unwrap_err();
    let StartError::Listen(ListenError { address, .. }) = error else { panic!("{error}") };
    assert_eq!(Some(address), taken.address);
}
