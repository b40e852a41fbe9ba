//! What is written is read as it was written, and no more of it than its bounds allow.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use rs2p_base::Endpoint;
use rs2p_wire::{IdForm, Limits, MainFlag, Message, Value};

use super::*;

fn an_id() -> impl Strategy<Value = NodeId> {
    vec(any::<u8>(), NodeId::BYTES).prop_map(|it| NodeId::from_bytes(it.try_into().unwrap()))
}

fn a_number() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), Just(u64::MAX), any::<u64>(), 0..1_000_u64]
}

fn a_contact() -> impl Strategy<Value = Contact> {
    let address = prop_oneof![
        (any::<[u8; 4]>(), 1..=u16::MAX).prop_map(|(ip, port)| Endpoint::Socket((ip, port).into())),
        (any::<[u16; 8]>(), 1..=u16::MAX)
            .prop_map(|(ip, port)| Endpoint::Socket((ip, port).into())),
    ];
    (an_id(), address).prop_map(|(id, address)| Contact { id, address })
}

fn a_key() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..40).prop_map(Bytes::from)
}

fn a_table() -> impl Strategy<Value = Table> {
    (0..Table::ALL.len()).prop_map(|at| Table::ALL[at])
}

fn a_value() -> impl Strategy<Value = Encoded> {
    let value = prop_oneof![
        any::<bool>().prop_map(Value::from),
        a_number().prop_map(Value::from),
        ".{0,40}".prop_map(Value::from),
        vec(any::<u8>(), 0..300).prop_map(Value::Binary),
        vec((".{0,4}", any::<u8>()), 0..4).prop_map(|pairs| {
            Value::Map(pairs.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
        }),
    ];
    value.prop_map(|value| Encoded::new(&value, &Limits::default()).unwrap())
}

fn a_version() -> impl Strategy<Value = Version> {
    (a_number(), an_id()).prop_map(|(time, author)| Version { time, author })
}

/// Records of rs2p nodes, which tell their keys, and those of old nodes, which do not.
fn a_record() -> impl Strategy<Value = (Spot, Record)> {
    let place = prop_oneof![
        (a_table(), a_key()).prop_map(|(table, key)| (Spot::of(table, &key), Some(key))),
        (a_table(), a_key()).prop_map(|(table, key)| (Spot::of(table, &key), None)),
    ];
    (place, a_version(), option::of(a_value()))
        .prop_map(|((spot, key), version, value)| (spot, Record { version, key, value }))
}

fn an_op() -> impl Strategy<Value = (NodeId, Op)> {
    let at = |op: fn(Spot) -> Op| {
        (a_table(), a_key()).prop_map(move |(table, key)| {
            let spot = Spot::of(table, &key);
            (spot.point(), op(spot))
        })
    };
    prop_oneof![
        an_id().prop_map(|target| (target, Op::Find)),
        at(Op::Fetch),
        at(Op::Check),
        a_record().prop_map(|(spot, record)| (spot.point(), Op::Keep { spot, record })),
        (a_record(), any::<bool>(), a_value()).prop_map(|((spot, record), has_base, delta)| {
            let key = record.key.clone();
            let number = record.version.time;
            let base = has_base.then_some(record);
            (spot.point(), Op::Merge { spot, base, key, number, delta })
        }),
        (an_id(), a_table(), option::of(an_id()))
            .prop_map(|(target, table, end)| (target, Op::List(table, end))),
        (an_id(), a_contact()).prop_map(|(target, contact)| (target, Op::Adopt(contact))),
    ]
}

fn an_answer() -> impl Strategy<Value = Answer> {
    let refusals = [Refusal::Full, Refusal::Ahead, Refusal::NoMap];
    prop_oneof![
        (option::of(a_contact()), vec(a_contact(), 0..MAX_HOPS))
            .prop_map(|(predecessor, successors)| Answer::Found { predecessor, successors }),
        Just(Answer::Fetched(Fetched::Nothing)),
        (a_version(), option::of(a_value()))
            .prop_map(|(version, value)| Answer::Fetched(Fetched::Record(version, value))),
        option::of(a_value()).prop_map(|value| Answer::Fetched(Fetched::Old(value))),
        (a_number(), any::<bool>())
            .prop_map(|(copies, had)| Answer::Kept(Kept::Done { copies, had })),
        a_version().prop_map(|version| Answer::Kept(Kept::Newer(version))),
        (0..3_usize).prop_map(move |at| Answer::Kept(Kept::Refused(refusals[at]))),
        option::of(a_version()).prop_map(Answer::Checked),
        (a_version(), a_value()).prop_map(|(version, value)| Answer::Merged { version, value }),
        (vec(a_key(), 0..MAX_KEYS), option::of(an_id()))
            .prop_map(|(keys, next)| Answer::Listed { keys, next }),
    ]
}

/// A message with what is written, and what is read of it.
fn passed<R>(
    elements: usize,
    room: usize,
    write: impl FnOnce(&mut MessageWriter),
    read: impl FnOnce(&mut Elements<'_>) -> R,
) -> R {
    let kind = MainFlag::Whisper;
    let mut writer = MessageWriter::with_room(room, kind, IdForm::Bin, "author", 1, elements);
    write(&mut writer);
    let limits = Limits::default();
    let message: Message = writer.finish(&limits).unwrap();
    read(&mut message.elements(&limits).unwrap())
}

proptest! {
    #[test]
    fn a_question_is_read_as_it_was_written(
        (target, op) in an_op(),
        hops in vec(an_id(), 1..=MAX_HOPS),
        number in a_number(),
        stays in any::<bool>(),
    ) {
        let request = Request { target, hops, number, stays, op };
        let room = request.room();
        let read = passed(Request::ELEMENTS, room, |writer| request.write(writer), |elements| {
            assert_eq!(elements.next().unwrap().as_u64(), Some(REQUEST));
            Request::read(elements)
        });
        prop_assert_eq!(format!("{:?}", read), format!("{:?}", Some(request)));
    }

    #[test]
    fn an_answer_is_read_as_it_was_written(answer in an_answer()) {
        let write = |writer: &mut MessageWriter| answer.write(writer);
        let read = passed(1, answer.room(), write, |elements| {
            Answer::read(&elements.next().unwrap())
        });
        prop_assert_eq!(format!("{:?}", read), format!("{:?}", Some(answer)));
    }

    #[test]
    fn a_record_is_read_as_it_was_written((spot, record) in a_record()) {
        let write = |writer: &mut MessageWriter| record.write(spot, writer);
        let read = passed(Record::ELEMENTS, record.size(), write, Record::read);
        prop_assert_eq!(read, Some((spot, record)));
    }

    /// Only who has the key can tell a value for it.
    #[test]
    fn a_record_is_read_only_where_its_key_lies(
        (_, record) in a_record(),
        (other, _) in a_record(),
    ) {
        let write = |writer: &mut MessageWriter| record.write(other, writer);
        let read = passed(Record::ELEMENTS, record.size(), write, Record::read);
        let lies_there = |key: &Bytes| Spot::of(other.table(), key) == other;
        let is_there = record.key.as_ref().is_none_or(lies_there);
        prop_assert_eq!(read.is_some(), is_there);
    }

    #[test]
    fn a_contact_is_read_as_it_was_written(contact in a_contact()) {
        let write = |writer: &mut MessageWriter| contact.write(writer);
        let read = passed(1, 100, write, |elements| Contact::read(&elements.next().unwrap()));
        prop_assert_eq!(read, Some(contact));
    }

    #[test]
    fn hops_are_read_up_to_their_bound(hops in vec(an_id(), 0..60)) {
        let write = |writer: &mut MessageWriter| write_hops(&hops, writer);
        let read = passed(1, 100, write, |elements| read_hops(&elements.next().unwrap()));
        let is_allowed = (1..=MAX_HOPS).contains(&hops.len());
        prop_assert_eq!(read, is_allowed.then_some(hops));
    }
}

#[test]
fn more_contacts_and_keys_than_there_may_be_are_not_read() {
    let contact = Contact {
        id: NodeId::from_bytes([7; NodeId::BYTES]),
        address: Endpoint::Socket(([10, 0, 0, 1], 1).into()),
    };
    let answers = [
        Answer::Found { predecessor: None, successors: vec![contact; 1_000] },
        Answer::Listed { keys: vec![Bytes::from_static(b"key"); 1_000], next: None },
    ];
    for answer in answers {
        let write = |writer: &mut MessageWriter| answer.write(writer);
        match passed(1, answer.room(), write, |it| Answer::read(&it.next().unwrap())) {
            Some(Answer::Found { successors, .. }) => assert_eq!(successors.len(), MAX_HOPS),
            Some(Answer::Listed { keys, .. }) => assert_eq!(keys.len(), MAX_KEYS),
            other => panic!("{other:?}"),
        }
    }
}
