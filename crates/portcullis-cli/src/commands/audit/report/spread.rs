//! How many calls fell into each stretch of the run, in so much memory whatever the run is.

/// Stretches at most.
pub(super) const STRETCHES: usize = 240;

/// Calls over time. A stretch gets twice as long whenever there would be too many of them.
#[derive(Debug)]
pub(super) struct Spread {
    /// How long a stretch is, in microseconds.
    pub(super) width_us: u64,
    /// Allowed and denied calls of each.
    pub(super) counts: Vec<[u64; 2]>,
}

impl Spread {
    pub(super) fn new() -> Self {
        Self {
            width_us: 1,
            counts: vec![[0; 2]; STRETCHES],
        }
    }

    /// Counts so many calls.
    pub(super) fn add(&mut self, at_us: u64, is_allowed: bool, count: u64) {
        self.reach(at_us);
        let stretch = usize::try_from(at_us / self.width_us).unwrap_or(usize::MAX);
        if let Some(counts) = self.counts.get_mut(stretch) {
            let of = &mut counts[usize::from(!is_allowed)];
            *of = of.saturating_add(count);
        }
    }

    /// Makes stretches long enough for a moment to be in one.
    pub(super) fn reach(&mut self, at_us: u64) {
        while at_us / self.width_us >= STRETCHES as u64 {
            let pairs = self.counts.chunks(2);
            let mut merged: Vec<_> = pairs
                .map(|pair| {
                    let sum = |n: usize| pair.iter().map(|counts| counts[n]).sum();
                    [sum(0), sum(1)]
                })
                .collect();
            merged.resize(STRETCHES, [0; 2]);
            self.counts = merged;
            self.width_us = self.width_us.saturating_mul(2);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost_however_long_it_takes() {
        let mut spread = Spread::new();
        for at in 0..10_000 {
            spread.add(at, at % 10 != 0, 1);
        }
        spread.add(u64::MAX / 2, false, 5);
        let sum = |n: usize| spread.counts.iter().map(|counts| counts[n]).sum::<u64>();
        assert_eq!((sum(0), sum(1)), (9_000, 1_005));
        assert_eq!(spread.counts.len(), STRETCHES);
        assert!(spread.counts.iter().rposition(|counts| counts[1] == 5) > Some(STRETCHES / 2 - 1));
    }
}
