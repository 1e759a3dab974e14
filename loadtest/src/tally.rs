//! Latencies, counted so that the counts of many workers can be summed: each bucket is less than a
//! hundredth of its value wide, however long the run.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const BITS: u32 = 7; // of a value that are kept

/// How often which latency was seen, in microseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Histogram(BTreeMap<u16, u64>);

impl Histogram {
    /// Counts one.
    pub fn record(&mut self, micros: u64) {
        *self.0.entry(bucket(micros)).or_default() += 1;
    }

    /// Adds the counts of another.
    pub fn add(&mut self, other: &Histogram) {
        for (bucket, count) in &other.0 {
            *self.0.entry(*bucket).or_default() += count;
        }
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.0.values().sum()
    }

    /// The latency that this share of all does not exceed, in milliseconds; `None` when there was none.
    pub fn quantile_ms(&self, share: f64) -> Option<f64> {
        let wanted = ((self.count() as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        self.0.iter().find_map(|(bucket, count)| {
            seen += count;
            (seen >= wanted).then(|| value(*bucket) as f64 / 1000.0)
        })
    }

    /// The longest, in milliseconds.
    pub fn max_ms(&self) -> Option<f64> {
        self.0.last_key_value().map(|(bucket, _)| value(*bucket) as f64 / 1000.0)
    }
}

fn bucket(micros: u64) -> u16 {
    let shift = (u64::BITS - micros.leading_zeros()).saturating_sub(BITS + 1);
    (shift << BITS) as u16 + (micros >> shift) as u16
}

// The middle of a bucket.
fn value(bucket: u16) -> u64 {
    let shift = (u32::from(bucket) >> BITS).saturating_sub(1);
    let kept = u64::from(bucket) - (u64::from(shift) << BITS);
    (kept << shift) + ((1 << shift) >> 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_kept_within_a_hundredth() {
        for micros in (0..100_000).chain([1 << 20, 987_654_321, 1 << 40]) {
            let kept = value(bucket(micros));
            assert!(kept.abs_diff(micros) * 100 <= micros, "{micros} became {kept}");
        }
    }

    #[test]
    fn quantiles_of_a_sum() {
        let (mut one, mut other) = (Histogram::default(), Histogram::default());
        assert_eq!(one.quantile_ms(0.5), None);
        (1..=50).for_each(|n| one.record(n));
        (51..=100).for_each(|n| other.record(n));
        one.add(&other);
        assert_eq!(one.count(), 100);
        assert_eq!((one.quantile_ms(0.5), one.quantile_ms(0.99), one.max_ms()), (Some(0.05), Some(0.099), Some(0.1)));
    }
}
