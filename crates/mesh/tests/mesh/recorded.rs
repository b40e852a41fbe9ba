//! What real nodes said to each other, with a node of ours in the middle.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use rs2p_base::Time;
use rs2p_wire::{Frame, IdForm, Limits, MainFlag, Message};
use serde_json::Value as Json;

use crate::harness::Net;
use crate::passive;

fn load(name: &str) -> Json {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors").join(name);
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn named<'a>(file: &'a Json, key: &str, name: &str) -> &'a [Json] {
    let cases = file[key].as_array().unwrap();
    cases.iter().find(|case| case["name"] == name).unwrap()["items"].as_array().unwrap()
}

fn text<'a>(item: &'a Json, key: &str) -> &'a str {
    item[key].as_str().unwrap()
}

/// A broadcast that was recorded.
struct Item<'a> {
    time: Duration,
    from: &'a str,
    to: &'a str,
    message: Message,
}

fn broadcasts(items: &[Json]) -> Vec<Item<'_>> {
    let item = |json| {
        let bytes = hex::decode(text(json, "frame")).unwrap().into();
        let message = Message::parse(Frame::decode(bytes, &Limits::default()).unwrap()).ok()?;
        let time = Duration::from_millis(json["ms"].as_u64().unwrap());
        let (from, to) = (text(json, "from"), text(json, "to"));
        (message.kind() == MainFlag::Broadcast).then_some(Item { time, from, to, message })
    };
    items.iter().filter_map(item).collect()
}

/// Replays the broadcasts of a recorded run. `middle` is the node that passed them on, whose place
/// ours takes: it must pass each on in the same bytes and to the same nodes.
fn replay(items: &[Json], middle: &str, form_of: impl Fn(&str) -> IdForm) -> usize {
    let items = broadcasts(items);
    let ends = items.iter().flat_map(|item| [item.from, item.to]);
    let names: BTreeSet<&str> = ends.filter(|name| *name != middle).collect();
    let number = |name: &str| 2 + names.iter().position(|it| *it == name).unwrap() as u8;
    let mut net = Net::new();
    net.now = Time::from_secs(items[0].message.time());
    net.add(1, passive());
    for name in &names {
        net.add_old(number(name), form_of(name));
        // Each is the author of what it says as the first of all.
        let is_first = |item: &&Item| {
            let first = items.iter().find(|it| it.message == item.message);
            first.is_some_and(|first| first.from == *name)
        };
        if let Some(item) = items.iter().find(is_first) {
            let id = std::str::from_utf8(item.message.sender()).unwrap().parse().unwrap();
            net.old_mut(number(name)).id = id;
        }
        net.dial_by_old(number(name), 1);
    }
    net.run_for(900);
    names.iter().for_each(|name| net.old_mut(number(name)).clear());
    let begin = net.now;
    for item in items.iter().filter(|item| item.to == middle) {
        net.run(begin + (item.time - items[0].time));
        net.say(number(item.from), &item.message);
    }
    net.run_for(1_000);
    let mut passed_on = 0;
    for name in &names {
        // Unlike the references, we do not hand a message back to whom we have it from.
        let is_back = |(index, item): &(usize, &Item)| {
            items[..*index].iter().any(|it| it.from == item.to && it.message == item.message)
        };
        let sent = items.iter().enumerate();
        let to_it = sent.filter(|(_, item)| (item.from, item.to) == (middle, *name));
        let expected = to_it.filter(|sent| !is_back(sent)).map(|(_, item)| &item.message);
        let expected: Vec<_> = expected.collect();
        let heard: Vec<_> = net.old(number(name)).heard.iter().map(|(_, _, it)| it).collect();
        assert_eq!(heard, expected, "what {name} hears");
        passed_on += heard.len();
    }
    passed_on
}

#[test]
fn py2p_and_js2p_hear_each_other_through_a_node_between_them_as_they_did_when_recorded() {
    let file = load("bridge.json");
    let items = named(&file, "transcripts", "mesh broadcasts both ways");
    let form_of = |name: &str| if name == "py2p" { IdForm::Bin } else { IdForm::Str };
    assert_eq!(replay(items, "bridge", form_of), 2);
}

#[test]
fn a_broadcast_is_passed_on_as_both_references_pass_it_on() {
    let file = load("observations_py2p.json");
    let items = named(&file, "observations", "relay of a broadcast");
    assert_eq!(replay(items, "py2p", |_| IdForm::Bin), 2);
    let file = load("observations_js2p.json");
    let items = named(&file, "observations", "relay of a broadcast");
    assert_eq!(replay(items, "js2p", |_| IdForm::Str), 12);
}
