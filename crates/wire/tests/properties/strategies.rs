//! Arbitrary messages, within the default limits.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use rs2p_wire::{Compression, IdForm, Limits, MainFlag, Message, Value};

/// The parts of a message.
#[derive(Clone, Debug)]
pub(crate) struct Parts {
    pub(crate) kind: MainFlag,
    pub(crate) form: IdForm,
    pub(crate) sender: String,
    pub(crate) time: u64,
    pub(crate) payload: Vec<Value>,
}

impl Parts {
    pub(crate) fn encode(&self) -> Message {
        let Self { kind, form, sender, time, payload } = self;
        Message::encode(*kind, *form, sender, *time, payload, &Limits::default()).unwrap()
    }

    /// The whole message as one value.
    pub(crate) fn array(&self) -> Value {
        let head =
            [u64::from(self.kind).into(), self.form.value(&self.sender), Value::from(self.time)];
        Value::Array(head.into_iter().chain(self.payload.iter().cloned()).collect())
    }
}

pub(crate) fn parts() -> impl Strategy<Value = Parts> {
    let form = select(vec![IdForm::Bin, IdForm::Str]);
    let sender = prop_oneof!["[1-9A-HJ-NP-Za-km-z]{1,66}", text(0..40), text(200..300)];
    (number(), form, sender, number(), vec(value(), 0..20)).prop_map(
        |(kind, form, sender, time, payload)| Parts {
            kind: kind.into(),
            form,
            sender,
            time,
            payload,
        },
    )
}

pub(crate) fn value() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Nil),
        any::<bool>().prop_map(Value::from),
        number().prop_map(Value::from),
        number().prop_map(|number| Value::from((number as i64).wrapping_neg())),
        any::<u32>().prop_map(|bits| Value::F32(f32::from_bits(bits))),
        any::<u64>().prop_map(|bits| Value::F64(f64::from_bits(bits))),
        prop_oneof![text(0..40), text(250..260)].prop_map(Value::from),
        prop_oneof![bytes(0..40), bytes(250..260)].prop_map(Value::Binary),
        (any::<i8>(), bytes(0..20)).prop_map(|(kind, bytes)| Value::Ext(kind, bytes)),
    ];
    scalar.prop_recursive(6, 60, 18, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..18).prop_map(Value::Array),
            vec((inner.clone(), inner), 0..18).prop_map(Value::Map),
        ]
    })
}

/// What can be written without building values.
pub(crate) fn writable() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Nil),
        number().prop_map(Value::from),
        prop_oneof![text(0..40), text(250..260)].prop_map(Value::from),
        prop_oneof![text(0..40), text(250..260)].prop_map(|text| Value::Binary(text.into_bytes())),
    ];
    scalar.prop_recursive(5, 60, 18, |inner| vec(inner, 0..18).prop_map(Value::Array))
}

/// No compression, or any method of this build.
pub(crate) fn method() -> impl Strategy<Value = Option<Compression>> {
    let all = Compression::AVAILABLE.iter().copied().map(Some);
    select(all.chain([None]).collect::<Vec<_>>())
}

/// Numbers of every width alike, not almost all of eight bytes.
fn number() -> impl Strategy<Value = u64> {
    (any::<u64>(), 0..64_u32).prop_map(|(number, shift)| number >> shift)
}

fn text(length: std::ops::Range<usize>) -> impl Strategy<Value = String> {
    vec(any::<char>(), length).prop_map(String::from_iter)
}

pub(crate) fn bytes(length: std::ops::Range<usize>) -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), length)
}
