//! What must hold whatever a peer sends and whenever.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use rs2p_base::{
    Capability, CloseReason, Fanout, Handshake, Link, LinkConfig, LinkId, LinkOutput, Origin, Time,
};
use rs2p_wire::{Compression, IdForm, Limits, MainFlag, Message, SubFlag, Value};

use crate::harness::{START, remote};
use crate::{DIALLED, OURS, THEIRS, greeting, id, message, node_with, whisper};

/// Something that happens to a link.
#[derive(Clone, Debug)]
enum Step {
    Message(Message),
    /// Time passes, in milliseconds, and deadlines with it.
    Wait(u64),
    /// The layer above sends.
    Send(Message),
    Flushed(usize),
    /// The layer above wants the handshake repeated.
    GreetAgain,
    /// The layer above has had enough.
    Close,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_sequence_of_inputs_breaks_the_contract(
        origin in prop_oneof![Just(Origin::Accepted), Just(DIALLED)],
        form in proptest::option::of(form()),
        config in config(),
        encryption in prop_oneof![3 => Just("Plaintext"), 1 => Just("ws")],
        steps in vec(step(), 0..40),
    ) {
        let local = node_with(OURS, encryption, config);
        let mut watched = Watched {
            link: Link::open(START, LinkId(1), origin, remote(), local, form),
            now: START,
            closed: false,
            established: false,
            sent: 0,
            outputs: 0,
        };
        watched.drain()?;
        // The opening, a handshake, `Established` or an end, and what a step may cause.
        let most = 4 + 2 * steps.len();
        for step in steps {
            watched.take(step)?;
        }
        prop_assert!(watched.outputs <= most, "{} outputs, {most} at most", watched.outputs);
    }
}

/// A link and what is known of it from its outputs.
struct Watched {
    link: Link,
    now: Time,
    closed: bool,
    established: bool,
    sent: usize,
    outputs: usize,
}

impl Watched {
    fn take(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Message(message) => {
                let handed_up = self.link.handle_message(self.now, message);
                let was_closed = self.closed;
                self.drain()?;
                if let Some(message) = handed_up {
                    prop_assert!(self.established && !was_closed);
                    prop_assert_ne!(message.kind(), MainFlag::Renegotiate);
                    prop_assert!(!Handshake::is_in(&message));
                    let is_sign = matches!(message.kind(), MainFlag::Ping | MainFlag::Pong);
                    prop_assert!(!is_sign || !self.link.gathers());
                }
            }
            Step::Wait(millis) => {
                self.now = self.now + Duration::from_millis(millis);
                self.link.handle_timeout(self.now);
                self.drain()?;
                prop_assert!(self.link.poll_timeout().is_none_or(|next| next > self.now));
            }
            Step::Send(message) => {
                let before = self.link.queued();
                let weight = message.frame().plain().len();
                let _ = self.link.frame(self.now, &mut Fanout::new(message));
                // A peer may be asked what it has read, on top.
                prop_assert!(self.link.queued() >= before + weight);
                self.drain()?;
            }
            Step::GreetAgain => {
                self.link.greet_again(self.now);
                self.drain()?;
            }
            Step::Close => {
                self.link.close(self.now, CloseReason::Shutdown);
                self.drain()?;
                prop_assert!(self.closed);
            }
            Step::Flushed(bytes) => {
                let before = self.link.queued();
                self.link.handle_flushed(self.now, bytes);
                prop_assert_eq!(self.link.queued(), before.saturating_sub(bytes));
            }
        }
        prop_assert_eq!(self.established, self.link.peer().is_some());
        Ok(())
    }

    fn drain(&mut self) -> Result<(), TestCaseError> {
        while let Some(output) = self.link.poll_output() {
            prop_assert!(!self.closed, "{output:?} after the link was closed");
            self.outputs += 1;
            match output {
                LinkOutput::Established => {
                    prop_assert!(!self.established);
                    self.established = true;
                }
                LinkOutput::Repeated | LinkOutput::Message(_) => prop_assert!(self.established),
                LinkOutput::Close(reason) => {
                    self.closed = true;
                    let is_greeted = self.sent > 0 || matches!(reason, CloseReason::Limits(_));
                    prop_assert!(is_greeted, "{reason} without a handshake");
                }
                LinkOutput::Send(_) => self.sent += 1,
            }
        }
        prop_assert!(!self.closed || self.link.poll_timeout().is_none());
        prop_assert_eq!(self.closed, self.link.is_closing());
        Ok(())
    }
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => any_message().prop_map(Step::Message),
        2 => prop_oneof![0..3_000u64, Just(1_000), Just(10_000), Just(100_000)].prop_map(Step::Wait),
        2 => prop_oneof![9 => 0..2_000usize, 1 => 60_000..70_000usize]
            .prop_map(|size| Step::Send(whisper("x".repeat(size)))),
        1 => (0..200_000usize).prop_map(Step::Flushed),
        1 => Just(Step::GreetAgain),
        1 => proptest::option::weighted(0.1, Just(Step::Close))
            .prop_map(|close| close.unwrap_or(Step::Wait(0))),
    ]
}

fn any_message() -> impl Strategy<Value = Message> {
    let limits = Limits::default();
    prop_oneof![
        3 => handshake().prop_map(move |peer| peer.encode(START, &limits).unwrap()),
        2 => (kind(), vec(packet(), 0..8)).prop_map(|(kind, payload)| message(kind, &payload)),
        1 => Just(message(MainFlag::Renegotiate, &[SubFlag::Resend.into()])),
        1 => methods().prop_map(|numbers| {
            let list = numbers.into_iter().map(Value::from).collect();
            message(MainFlag::Renegotiate, &[SubFlag::Compression.into(), Value::Array(list)])
        }),
    ]
}

/// Mostly that of the same peer, so that links get beyond it.
fn handshake() -> impl Strategy<Value = Handshake> {
    let number = prop_oneof![20 => Just(THEIRS), 1 => Just(OURS), 1 => any::<u8>()];
    let foreign = proptest::bool::weighted(0.05);
    (number, foreign, form(), methods(), vec(0..3u8, 0..3), any::<bool>()).prop_map(
        |(number, foreign, form, methods, capabilities, opening)| {
            let usual = greeting(form);
            Handshake {
                id: id(number),
                protocol: if foreign { "elsewhere".into() } else { usual.protocol },
                methods: methods.into(),
                capabilities: capabilities.into_iter().map(Capability::new).collect(),
                opening,
                ..usual
            }
        },
    )
}

fn packet() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => (0..20u8).prop_map(Value::from),
        1 => Just(Value::Nil),
        1 => any::<f64>().prop_map(Value::from),
        1 => vec(any::<u8>(), 0..70).prop_map(Value::Binary),
        1 => "\\PC{0,70}".prop_map(Value::from),
        1 => vec((0..40u8).prop_map(Value::from), 0..6).prop_map(Value::Array),
    ]
}

fn kind() -> impl Strategy<Value = MainFlag> {
    prop_oneof![0..6u64, Just(2)].prop_map(MainFlag::from)
}

fn form() -> impl Strategy<Value = IdForm> {
    prop_oneof![Just(IdForm::Bin), Just(IdForm::Str)]
}

fn methods() -> impl Strategy<Value = Vec<u64>> {
    vec(prop_oneof![0x0f..0x22u64, 0x40..0x44u64, any::<u64>()], 0..70)
}

/// Deadlines down to nothing, and limits that hold no handshake.
fn config() -> impl Strategy<Value = LinkConfig> {
    let millis = |most: u64| (0..most).prop_map(Duration::from_millis);
    let compression = vec(proptest::sample::select(Compression::AVAILABLE.to_vec()), 0..4);
    let limit = prop_oneof![8 => Just(Limits::default().frame), 1 => 30..400u32];
    let maybe = |most: u64| proptest::option::of(millis(most));
    let waits = (millis(20_000), millis(3_000), maybe(9_000), maybe(5_000), millis(9_000));
    let send_queue = prop_oneof![Just(1 << 20), 0..100_000usize];
    (compression, waits, send_queue, limit).prop_map(
        |(compression, (handshake, form_wait, keepalive, idle, slow), send_queue, frame)| {
            LinkConfig {
                limits: Limits { frame, ..Limits::default() },
                compression,
                handshake,
                form_wait,
                keepalive,
                idle,
                slow,
                send_queue,
            }
        },
    )
}
