//! What a seed plays: which client, which bounds, which misfortunes.

use crate::client::Style;
use crate::random::Random;
use herald_bosh::Settings;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Strophe.js that made its session: it learned `requests`.
    Strophe,
    /// Strophe.js attached to a session that was made for it: it did not.
    Attached,
    /// A client with acknowledgements.
    Acks,
    /// A client with a key sequence.
    Keys,
    /// `wait='0'`.
    Polls,
    /// `hold='0'`.
    HoldsNone,
    /// A client that lets three requests be held, and pipelines.
    Pipelines,
    /// None of all that, but it knows `type='error'` and pauses.
    Plain,
}

/// Everything but what the network does from case to case.
pub struct Scenario {
    pub kind: Kind,
    pub settings: Settings,
    pub style: Style,
    pub creation: String,
    pub wait_secs: u32,
    /// Payloads each way.
    pub payloads: u32,
    /// The timer of the page: a browser slows that of a hidden one down.
    pub idle_ms: u64,
    // The network, in percent and milliseconds.
    pub loss: u64,
    pub silent: u64,
    pub doubles: u64,
    pub delay_ms: u64,
    /// Whether the server is told when a connection dies.
    pub server_learns: u64,
    /// The wheel of deadlines is that coarse.
    pub lateness_ms: u64,
    // Misfortunes, when they happen.
    pub reload_at: Option<u64>,
    pub second_tab_at: Option<u64>,
    pub vanish_at: Option<u64>,
    pub terminate_at: Option<u64>,
    pub close_at: Option<u64>,
    pub pause_at: Option<u64>,
    pub jump_at: Option<u64>,
    /// Somebody else knows the sid: `Some(true)`, and sends only what cannot be read.
    pub stranger: Option<bool>,
}

impl Scenario {
    pub fn new(random: &mut Random) -> Scenario {
        use Kind::*;
        let kind = random.pick(&[Strophe, Strophe, Attached, Attached, Acks, Keys, Polls, HoldsNone, Pipelines, Plain]);
        let wait_secs = if kind == Polls { 0 } else { random.pick(&[3, 10, 10, 55]) };
        let hold = match kind {
            HoldsNone => 0,
            Pipelines => 3,
            _ => 1,
        };
        let requests = if kind == Pipelines { 4 } else { 2 };
        let strophe = matches!(kind, Strophe | Attached);
        // An attached Strophe.js does not learn `wait` either, unless it is told.
        let wait_ms = match kind {
            Attached if random.percent(50) => 60_000,
            Polls => 5_000,
            _ => u64::from(wait_secs) * 1_000,
        };
        let polls = matches!(kind, Polls | HoldsNone);
        let style = Style {
            open_max: if polls { 1 } else { requests },
            window: match kind {
                Strophe => 2,
                Acks => 12,
                _ => 5,
            },
            hold: hold.max(1),
            poll_ms: if polls { 2_000 } else { 0 },
            primary_ms: wait_ms * 11 / 10,
            secondary_ms: if strophe { wait_ms / 10 } else { 0 },
            error_is_answer: strophe,
            sends_max: if strophe { 5 } else { u64::MAX },
            acks: kind == Acks,
            asks_first: false,
        };
        let tabs = kind == Attached && random.percent(20);
        let (reloads, stranger) = (
            random.percent(25) && !tabs && kind != Keys && kind != Acks && kind != Pipelines,
            random.percent(6).then(|| kind == Keys),
        );
        let some_time = |random: &mut Random, percent| random.percent(percent).then(|| random.below(9_000));
        let idle_ms = if polls { 100 } else { random.pick(&[100, 100, 100, 100, 1_000, 60_000]) };
        let delay_ms = random.pick(&[1, 50, 300, 2_000]);
        let settings = Settings {
            wait_max_secs: wait_secs.max(1),
            hold_max: 3,
            inactivity_secs: if idle_ms == 60_000 { 90 } else { random.pick(&[20, 60, 90]) },
            maxpause_secs: 30,
            queue_bytes_max: random.pick(&[1_000, 1_000_000]),
            response_bytes_soft: random.pick(&[100, 400, 65_536]),
            repeats_max: 200,
            // Two polls that a network like that brings together are too many, as the XEP has it.
            overactivity: !(reloads || tabs || stranger.is_some() || polls && delay_ms > 1_000),
            ..Settings::default()
        };
        let creation = format!(
            "to='example.com' ver='1.6' hold='{hold}' wait='{wait_secs}'{}",
            if kind == Acks { " ack='1'" } else { "" },
        );
        Scenario {
            kind,
            settings,
            style,
            creation,
            wait_secs,
            payloads: 6 + u32::try_from(random.below(12)).expect("few"),
            idle_ms,
            loss: random.pick(&[0, 5, 15, 30]),
            silent: random.pick(&[0, 30, 100]),
            doubles: random.pick(&[0, 10]),
            delay_ms,
            server_learns: random.pick(&[100, 80, 0]),
            lateness_ms: random.pick(&[0, 200]),
            reload_at: if reloads { Some(random.below(9_000)) } else { None },
            second_tab_at: tabs.then(|| random.below(6_000)),
            vanish_at: some_time(random, 15),
            terminate_at: some_time(random, 10),
            close_at: some_time(random, 8),
            pause_at: if strophe || polls { None } else { some_time(random, 40) },
            jump_at: some_time(random, 10),
            stranger,
        }
    }

    /// The client and the server go on until all has arrived.
    pub fn ends_well(&self) -> bool {
        self.vanish_at.is_none()
            && self.terminate_at.is_none()
            && self.close_at.is_none()
            && self.second_tab_at.is_none()
            && self.stranger != Some(false)
    }

    /// How many requests at a time the session allows.
    pub fn requests(&self) -> usize {
        if self.kind == Kind::Pipelines { 4 } else { 2 }
    }

    /// Of how many requests the answers are kept.
    pub fn replayable(&self) -> u64 {
        5
    }
}
