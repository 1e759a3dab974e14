//! Two who talk while others are flooded: how long a message takes there and back.

use crate::support::Herald;
use crate::support::client::Client;
use std::time::{Duration, Instant};

pub struct Pair {
    ann: Client,
    bob: Client,
    said: usize,
}

impl Pair {
    pub fn login(herald: &Herald, ann: &str, bob: &str) -> Pair {
        let ann = Client::login(herald, ann, "secret", "a");
        Pair { ann, bob: Client::login(herald, bob, "secret", "b"), said: 0 }
    }

    /// So many round trips, one after the other.
    #[allow(clippy::disallowed_methods)] // it measures
    pub fn round_trips(&mut self, count: usize) -> Vec<Duration> {
        let one = |_| {
            let began = Instant::now();
            self.said += 1;
            let (there, back) = (format!("there {}<", self.said), format!("back {}<", self.said));
            self.ann.send(&format!("<message type='chat' to='{}'><body>{there}/body></message>", self.bob.jid));
            self.bob.expect(&there);
            self.bob.send(&format!("<message type='chat' to='{}'><body>{back}/body></message>", self.ann.jid));
            self.ann.expect(&back);
            began.elapsed()
        };
        (0..count).map(one).collect()
    }
}

/// The time within which so many in a hundred were done.
pub fn percentile(times: &[Duration], percent: usize) -> Duration {
    let mut times = times.to_vec();
    times.sort_unstable();
    times[(times.len() - 1) * percent / 100]
}
