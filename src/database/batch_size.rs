//! How many rows to write in one transaction: as many as hold the lock for [`HOLD`].

use std::time::Duration;

use crate::database::HOLD;

/// The number of rows for the next transaction, learned from how long the last one held the lock.
#[derive(Clone, Copy, Debug)]
pub struct BatchSize {
    pub rows: usize,
    least: usize,
    most: usize,
    growth: f64,
}

impl BatchSize {
    pub fn new(rows: usize) -> Self {
        Self { rows, least: 200, most: 1_000_000, growth: 1.5 }
    }

    pub fn within(self, least: usize, most: usize) -> Self {
        Self { least, most, ..self }
    }

    /// Limits the growth from one batch to the next: the first batches go into a small table, so they are
    /// faster than later ones.
    pub fn growing(self, growth: f64) -> Self {
        Self { growth, ..self }
    }

    pub fn adapt(&mut self, held: Duration) {
        let ratio = HOLD.as_secs_f64() / held.as_secs_f64().max(1e-4);
        let rows = self.rows as f64 * ratio.clamp(0.1, self.growth);
        self.rows = (rows as usize).clamp(self.least, self.most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_come_to_take_as_long_as_they_may() {
        let mut batch = BatchSize::new(1).within(1, 5_000).growing(8.0);
        // A millisecond for ten rows.
        (0..10).for_each(|_| batch.adapt(Duration::from_secs_f64(batch.rows as f64 * 1e-4)));
        assert_eq!(batch.rows, 400);
        batch.adapt(Duration::ZERO);
        assert_eq!(batch.rows, 3_200);
        batch.adapt(Duration::ZERO);
        assert_eq!(batch.rows, 5_000);
        batch.adapt(Duration::from_secs(60));
        assert_eq!(batch.rows, 500);
    }
}
