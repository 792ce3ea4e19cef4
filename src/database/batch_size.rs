//! How much to write at a time: as much as keeps the lock for [`HOLD`].

use std::time::Duration;

use crate::database::HOLD;

/// Rows of the next transaction; learned from how long the last one held the lock.
#[derive(Clone, Copy, Debug)]
pub struct BatchSize {
    /// Rows to write next.
    pub rows: usize,
    least: usize,
    most: usize,
    growth: f64,
}

impl BatchSize {
    /// Begins with some rows.
    pub fn new(rows: usize) -> Self {
        Self { rows, least: 200, most: 1_000_000, growth: 1.5 }
    }

    /// Never fewer rows than `least`, nor more than `most`.
    pub fn within(self, least: usize, most: usize) -> Self {
        Self { least, most, ..self }
    }

    /// At most so many times as many as before: the first batches go into a small table and are the fast ones.
    pub fn growing(self, growth: f64) -> Self {
        Self { growth, ..self }
    }

    /// Learns from how long the last transaction held the lock.
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
