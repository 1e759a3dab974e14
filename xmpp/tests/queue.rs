//! The queue of stream management between two ends and a line that is cut: nothing is lost or doubled.

use herald_xmpp::stream::StreamError;
use herald_xmpp::stream::sm::{ASK_STANZAS, Item, Queue, TooHigh};
use proptest::prelude::*;
use std::collections::VecDeque;

#[derive(Clone, Debug, PartialEq)]
struct Numbered(u32);

impl Item for Numbered {
    fn bytes(&self) -> usize {
        10
    }
}

#[derive(Clone, Debug)]
enum Step {
    Push(u8),
    /// So many are written.
    Write(u8),
    /// So many of what is on the line come in.
    Arrive(u8),
    /// The peer says what it has handled: now, or as it was a while ago.
    Ack {
        late: bool,
    },
    /// The line is cut, and what is on it lost; a new one is there, and the peer says what it has.
    Cut,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..20u8).prop_map(Step::Push),
        4 => (0..20u8).prop_map(Step::Write),
        4 => (0..20u8).prop_map(Step::Arrive),
        3 => any::<bool>().prop_map(|late| Step::Ack { late }),
        1 => Just(Step::Cut),
    ];
    prop::collection::vec(step, 0..80)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn each_exactly_once_and_in_order(start in prop_oneof![Just(0), Just(u32::MAX - 30), any::<u32>()], steps in steps()) {
        let mut queue = Queue::counting_from(start);
        let (mut pushed, mut got) = (0u32, Vec::new());
        let mut line = VecDeque::new();
        let mut h = start; // of the peer
        let mut before = h;
        for step in steps {
            match step {
                Step::Push(n) => for _ in 0..n {
                    queue.push(Numbered(pushed));
                    pushed += 1;
                },
                Step::Write(n) => for _ in 0..n {
                    let Some(item) = queue.next_to_write() else { break };
                    line.push_back(item.clone());
                },
                Step::Arrive(n) => for _ in 0..n {
                    let Some(Numbered(number)) = line.pop_front() else { break };
                    got.push(number);
                    h = h.wrapping_add(1);
                },
                Step::Ack { late } => {
                    let says = if late { before } else { h };
                    let done: Vec<_> = queue.ack(says).expect("the peer tells the truth").collect();
                    prop_assert!(done.iter().all(|Numbered(n)| got.contains(n)));
                    before = h;
                }
                Step::Cut => {
                    line.clear();
                    prop_assert!(!queue.is_lower(h));
                    queue.ack(h).expect("the peer tells the truth").for_each(drop);
                    queue.rewind();
                    before = h;
                }
            }
            prop_assert_eq!(queue.bytes(), queue.len() * 10);
            // More than was written is always refused, and changes nothing.
            let (sent, kept) = (queue.sent(), queue.len());
            prop_assert_eq!(queue.ack(sent.wrapping_add(1)).err(), Some(TooHigh { h: sent.wrapping_add(1), sent }));
            prop_assert_eq!(queue.len(), kept);
        }
        // In order and without a gap; what the peer has not got is still here.
        prop_assert_eq!(&got, &(0..got.len() as u32).collect::<Vec<_>>());
        queue.ack(h).expect("the peer tells the truth").for_each(drop);
        let left: Vec<_> = queue.take().into_iter().map(|Numbered(n)| n).collect();
        prop_assert_eq!(left, (got.len() as u32..pushed).collect::<Vec<_>>());
        prop_assert_eq!((queue.bytes(), queue.len()), (0, 0));
    }
}

fn written(n: u32) -> Queue<Numbered> {
    let mut queue = Queue::default();
    for number in 0..n {
        queue.push(Numbered(number));
        queue.next_to_write();
    }
    queue
}

#[test]
fn the_peer_is_asked_after_many_or_at_rest_and_not_twice() {
    let mut queue = written(ASK_STANZAS - 1);
    assert!(!queue.should_ask(false) && queue.should_ask(true));
    queue.push(Numbered(0));
    assert!(!queue.should_ask(false), "it is not on the wire");
    queue.next_to_write();
    assert!(queue.should_ask(false));
    queue.asked();
    assert!(!queue.should_ask(true));
    for number in 0..ASK_STANZAS {
        queue.push(Numbered(number));
        queue.next_to_write();
    }
    assert!(!queue.should_ask(false), "it has not answered");
    assert_eq!(queue.ack(ASK_STANZAS).map(Iterator::count), Ok(ASK_STANZAS as usize));
    assert!(queue.should_ask(false));
    assert_eq!(queue.ack(2 * ASK_STANZAS).map(Iterator::count), Ok(ASK_STANZAS as usize));
    assert!(!queue.should_ask(true) && queue.is_empty());
}

#[test]
fn a_lower_count_changes_nothing_and_a_higher_one_is_an_error() {
    let mut queue = written(10);
    assert_eq!(queue.ack(6).map(Iterator::count), Ok(6));
    assert!(queue.is_lower(5) && !queue.is_lower(6) && !queue.is_lower(7));
    assert_eq!(queue.ack(5).map(Iterator::count), Ok(0));
    assert_eq!(queue.len(), 4);
    let too_high = queue.ack(11).expect_err("10 were sent");
    assert_eq!(too_high, TooHigh { h: 11, sent: 10 });
    let mut xml = Vec::new();
    StreamError::from(too_high).write(true, &mut xml);
    let xml = String::from_utf8(xml).expect("it is text");
    assert!(xml.starts_with("<stream:error><undefined-condition "), "{xml}");
    assert!(xml.contains("<handled-count-too-high xmlns='urn:xmpp:sm:3' h='11' send-count='10'/>"), "{xml}");
    assert_eq!(queue.len(), 4);
}

#[test]
fn without_management_what_is_written_is_done() {
    let mut queue = written(3);
    queue.push(Numbered(3));
    assert_eq!(queue.settle().map(|Numbered(n)| n).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!((queue.len(), queue.bytes()), (1, 10));
}
