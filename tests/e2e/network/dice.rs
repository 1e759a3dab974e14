//! What becomes of each request, thrown by dice with a seed.

/// What becomes of one request and its response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fate {
    /// It goes through.
    Passes,
    /// The request is lost: the server never hears of it.
    RequestLost,
    /// The request arrives, and the link dies while the server works or holds it.
    LinkLost,
    /// The response is taken from the server, and the client gets no byte of it.
    ResponseLost,
    /// The client gets the head and half of the body.
    ResponseCut,
}

/// How often what happens.
#[derive(Clone, Copy)]
pub struct Weather {
    seed: u64,
    /// Responses killed, in a thousand.
    responses: u64,
    /// Requests lost, in a thousand.
    requests: u64,
    /// Kills in a row before one is let through: Strophe gives up at the fifth error, by design.
    row_max: u32,
    /// A WebSocket connection is cut after so many bytes from the server, at most; 0 is never.
    tunnel_bytes: u64,
}

impl Weather {
    /// A tenth of the responses and a fiftieth of the requests; WebSocket connections live for 40 kB at most.
    /// `HERALD_NETWORK_SEED` throws other dice.
    pub fn bad(seed: u64) -> Weather {
        let seed = std::env::var("HERALD_NETWORK_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(seed);
        Weather { seed, responses: 100, requests: 20, row_max: 3, tunnel_bytes: 40_000 }
    }

    /// Nothing happens by itself.
    pub fn calm() -> Weather {
        Weather { seed: 0, responses: 0, requests: 0, row_max: 0, tunnel_bytes: 0 }
    }
}

/// The dice.
pub struct Dice {
    weather: Weather,
    state: u64,
    row: u32,
}

impl Dice {
    pub fn new(weather: Weather) -> Dice {
        Dice { weather, state: weather.seed, row: 0 }
    }

    /// The fate of the next request.
    pub fn throw(&mut self) -> Fate {
        let (roll, kind) = (self.roll() % 1_000, self.roll());
        let Weather { responses, requests, row_max, .. } = self.weather;
        let fate = if roll < responses {
            [Fate::LinkLost, Fate::ResponseLost, Fate::ResponseCut][(kind % 3) as usize]
        } else if roll < responses + requests {
            Fate::RequestLost
        } else {
            Fate::Passes
        };
        self.row = if fate == Fate::Passes { 0 } else { self.row + 1 };
        if self.row > row_max {
            self.row = 0;
            return Fate::Passes;
        }
        fate
    }

    /// After how many bytes from the server a WebSocket connection is cut.
    pub fn tunnel_bytes(&mut self) -> Option<u64> {
        let most = self.weather.tunnel_bytes;
        (most > 0).then(|| most / 4 + self.roll() % (most * 3 / 4))
    }

    // SplitMix64.
    fn roll(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}
