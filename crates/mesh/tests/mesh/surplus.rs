//! Two links to one peer: one is kept, and both ends agree on which (spec section 7.5).

use rs2p_mesh::MeshEvent;
use rs2p_wire::{IdForm, SubFlag};

use crate::harness::{Net, Who, address, at, id};
use crate::passive;

fn connections(net: &mut Net, number: u8) -> usize {
    let events = net.events(number);
    assert!(!events.iter().any(|event| matches!(event, MeshEvent::Disconnected { .. })));
    events.iter().filter(|event| matches!(event, MeshEvent::Connected(_))).count()
}

#[test]
fn of_two_links_dialled_at_the_same_moment_that_of_the_larger_id_is_kept_at_both_ends() {
    // The second dial begins so many milliseconds after the first, by either node.
    for (first, second) in [(1, 2), (2, 1)] {
        for delay in [0, 1, 19, 20, 21, 30, 39, 40, 41, 59, 60, 61, 79, 80, 200] {
            let mut net = Net::new();
            net.add(1, passive());
            net.add(2, passive());
            let one = net.call(first, |mesh, now| mesh.connect(now, address(second)));
            net.run(at(delay));
            let two = net.call(second, |mesh, now| mesh.connect(now, address(first)));
            net.run(at(10_000));
            assert_eq!(net.connected(first, one).unwrap().unwrap(), id(second));
            assert_eq!(net.connected(second, two).unwrap().unwrap(), id(first));
            for (node, other) in [(1, 2), (2, 1)] {
                assert_eq!(net.links_of(Who::Node(node)).len(), 1, "{delay} ms");
                assert_eq!(connections(&mut net, node), 1, "{delay} ms");
                let peers = net.peers(node);
                assert_eq!((peers.len(), peers[0].id), (1, id(other)));
                assert_eq!(peers[0].link, net.link(Who::Node(node), Who::Node(other)));
            }
            assert_ne!(net.peers(1)[0].outgoing, net.peers(2)[0].outgoing);
            if net.dials.len() == 2 && delay < 40 {
                assert!(net.peers(2)[0].outgoing, "{delay} ms");
            }
        }
    }
}

#[test]
fn nothing_said_while_two_links_become_one_is_lost() {
    for delay in [0, 10, 30, 50, 70, 200] {
        for (first, second) in [(1, 2), (2, 1)] {
            let mut net = Net::new();
            net.add(1, passive());
            net.add(2, passive());
            net.call(first, |mesh, now| mesh.connect(now, address(second)));
            net.run(at(delay));
            // By another name, so that it is dialled whatever is known.
            let name = rs2p_base::Endpoint::new("another.example", 1).unwrap();
            net.alias(name.clone(), Who::Node(first));
            net.call(second, |mesh, now| mesh.connect(now, name));
            let mut said = [0, 0];
            for _ in 0..400 {
                for (node, said) in [1, 2].into_iter().zip(&mut said) {
                    let text = said.to_string();
                    if net.call(node, |mesh, now| mesh.whisper(now, [text.into()])).is_ok() {
                        *said += 1;
                    }
                }
                net.run_for(1);
            }
            net.run_for(10_000);
            for (node, said) in [(2, said[0]), (1, said[1])] {
                let mut heard: Vec<u32> =
                    net.texts(node).iter().map(|text| text.parse().unwrap()).collect();
                heard.sort_unstable();
                assert_eq!(heard, (0..said).collect::<Vec<_>>(), "{delay} ms");
                assert_eq!(net.links_of(Who::Node(node)).len(), 1);
            }
        }
    }
}

#[test]
fn of_two_links_dialled_by_the_same_node_the_newer_is_kept() {
    for form in [IdForm::Bin, IdForm::Str] {
        for number in [0, 2] {
            let mut net = Net::new();
            net.add(1, passive());
            net.add_old(number, form);
            net.dial_by_old(number, 1);
            net.run(at(1_000));
            net.dial_by_old(number, 1);
            net.run(at(3_000));
            let opened = net.old(number).opened.clone();
            assert_eq!((opened.len(), &net.old(number).closed[..]), (2, &opened[..1]));
            assert_eq!(net.peers(1).len(), 1);
            assert_eq!(connections(&mut net, 1), 1);
            net.old_mut(number).clear();
            net.call(1, |mesh, now| mesh.whisper(now, ["x".into()])).unwrap();
            net.run_for(100);
            let heard = &net.old(number).heard;
            assert_eq!((heard.len(), heard[0].1), (1, opened[1]));
        }
    }
}

#[test]
fn js2p_is_greeted_again_on_the_kept_link_after_the_other_is_gone() {
    let mut net = Net::new();
    net.add(1, passive());
    net.add_old(2, IdForm::Str);
    net.dial_by_old(2, 1);
    net.run(at(1_000));
    net.dial_by_old(2, 1);
    net.run(at(10_000));
    let kept = net.old(2).opened[1];
    let is_greeting = |flag| flag == Some(SubFlag::Handshake);
    let heard =
        net.old(2).heard.iter().filter(|(_, link, it)| *link == kept && is_greeting(it.sub_flag()));
    let times: Vec<_> = heard.map(|(time, ..)| *time).collect();
    assert_eq!(times.len(), 3);
    // js2p forgets the peer when it notices that the other link is gone.
    let (gone, _) = net.old(2).ended[0];
    assert!(times[2] > gone, "{} comes before {gone}", times[2]);
}

#[test]
fn py2p_is_not_greeted_again() {
    let mut net = Net::new();
    net.add(1, passive());
    net.add_old(2, IdForm::Bin);
    net.dial_by_old(2, 1);
    net.run(at(1_000));
    net.dial_by_old(2, 1);
    net.run(at(10_000));
    assert_eq!(net.old(2).heard_of(SubFlag::Handshake).len(), 2, "one on each link");
}

#[test]
fn a_link_to_py2p_that_was_kept_and_turns_out_to_be_deaf_is_given_up() {
    for answers in [true, false] {
        let mut net = Net::new();
        net.add(1, passive());
        net.add_old(2, IdForm::Bin);
        net.old_mut(2).answers = false;
        net.dial_by_old(2, 1);
        net.run(at(1_000));
        net.dial_by_old(2, 1);
        net.run(at(2_000));
        // It is asked for something that it always answers.
        let asked = net.old(2).heard_of(SubFlag::Request);
        assert_eq!(asked.len(), 1);
        if answers {
            net.say(2, &net.old(2).list(net.now, vec![]));
        }
        net.run(at(10_000));
        assert_eq!(net.peers(1).len(), usize::from(answers));
    }
}
