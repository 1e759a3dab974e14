//! Which message may go when: for each user one after the other, in the order in which they came; different
//! users side by side.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

/// A message that has come and is not finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place(u64);

/// Whom a message is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lane<K> {
    /// These; it goes behind what came earlier for any of them.
    Of(Vec<K>),
    /// Nobody knows yet: it goes behind everything, and everything that comes later behind it.
    Everybody,
}

/// All that has come and is not finished.
pub struct Lanes<K> {
    places: u64,
    there: HashMap<Place, Node<K>>,
    /// The latest for each user.
    last: HashMap<K, Place>,
    barrier: Option<Place>,
}

struct Node<K> {
    /// How many must be finished before it may go.
    behind: usize,
    /// Those that wait for it.
    before: Vec<Place>,
    of: Vec<K>,
}

impl<K: Clone + Eq + Hash> Lanes<K> {
    /// Nothing yet.
    pub fn new() -> Lanes<K> {
        Lanes { places: 0, there: HashMap::new(), last: HashMap::new(), barrier: None }
    }

    /// One more comes, and may it go at once?
    pub fn enter(&mut self, lane: Lane<K>) -> (Place, bool) {
        let place = Place(self.places);
        self.places += 1;
        let mut ahead: HashSet<Place> = self.barrier.into_iter().collect();
        let of = match lane {
            Lane::Of(users) => {
                for user in &users {
                    ahead.extend(self.last.insert(user.clone(), place).filter(|p| *p != place));
                }
                users
            }
            Lane::Everybody => {
                ahead.extend(self.there.keys());
                self.barrier = Some(place);
                Vec::new()
            }
        };
        for other in &ahead {
            if let Some(node) = self.there.get_mut(other) {
                node.before.push(place);
            }
        }
        self.there.insert(place, Node { behind: ahead.len(), before: Vec::new(), of });
        (place, ahead.is_empty())
    }

    /// It is finished: these may go now, in this order.
    pub fn leave(&mut self, place: Place) -> Vec<Place> {
        let Some(node) = self.there.remove(&place) else { return Vec::new() };
        for user in &node.of {
            if self.last.get(user) == Some(&place) {
                self.last.remove(user);
            }
        }
        if self.barrier == Some(place) {
            self.barrier = None;
        }
        let mut free = Vec::new();
        for behind in node.before {
            if let Some(next) = self.there.get_mut(&behind) {
                next.behind -= 1;
                if next.behind == 0 {
                    free.push(behind);
                }
            }
        }
        free
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_user_after_the_other_and_all_behind_a_barrier() {
        let mut lanes = Lanes::new();
        let (a1, go) = lanes.enter(Lane::Of(vec!["a"]));
        assert!(go);
        let (ab, go) = lanes.enter(Lane::Of(vec!["a", "b", "a"]));
        assert!(!go);
        let (c, go) = lanes.enter(Lane::Of(vec!["c"]));
        assert!(go);
        let (all, go) = lanes.enter(Lane::Everybody);
        assert!(!go);
        let (d, go) = lanes.enter(Lane::Of(vec!["d"]));
        assert!(!go);
        assert_eq!(lanes.leave(a1), [ab]);
        assert_eq!(lanes.leave(c), []);
        assert_eq!(lanes.leave(ab), [all]);
        assert_eq!(lanes.leave(all), [d]);
        assert_eq!(lanes.leave(d), []);
        assert!(lanes.there.is_empty() && lanes.last.is_empty() && lanes.barrier.is_none());
    }

    fn lane() -> impl Strategy<Value = Lane<u8>> {
        prop_oneof![
            9 => prop::collection::vec(0u8..4, 1..3).prop_map(Lane::Of),
            1 => Just(Lane::Everybody),
        ]
    }

    proptest! {
        /// Whatever finishes first: for each user they go in order, one at a time, and all of them go.
        #[test]
        fn each_user_sees_the_order(came in prop::collection::vec((lane(), any::<bool>()), 1..60), pick in any::<u64>()) {
            let mut lanes = Lanes::new();
            let (mut running, mut went) = (Vec::new(), HashMap::<Place, Lane<u8>>::new());
            let mut order: HashMap<u8, Vec<Place>> = HashMap::new();
            let mut lane_of = HashMap::new();
            let mut pick = pick;
            let mut finish = |lanes: &mut Lanes<u8>, running: &mut Vec<Place>| {
                pick = pick.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                let done = running.swap_remove((pick >> 33) as usize % running.len());
                running.extend(lanes.leave(done));
                done
            };
            for (lane, and_finish) in came {
                let (place, go) = lanes.enter(lane.clone());
                lane_of.insert(place, lane);
                if go { running.push(place); }
                if and_finish && !running.is_empty() {
                    let done = finish(&mut lanes, &mut running);
                    went.insert(done, lane_of[&done].clone());
                    for user in users(&lane_of[&done]) { order.entry(user).or_default().push(done); }
                }
            }
            while !running.is_empty() {
                let done = finish(&mut lanes, &mut running);
                went.insert(done, lane_of[&done].clone());
                for user in users(&lane_of[&done]) { order.entry(user).or_default().push(done); }
            }
            prop_assert_eq!(went.len(), lane_of.len());
            for finished in order.values() {
                prop_assert!(finished.windows(2).all(|w| w[0] <= w[1]));
            }
            prop_assert!(lanes.there.is_empty() && lanes.last.is_empty());
        }
    }

    fn users(lane: &Lane<u8>) -> Vec<u8> {
        match lane {
            Lane::Of(users) => users.clone(),
            Lane::Everybody => (0..4).collect(),
        }
    }
}
