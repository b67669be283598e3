use schemas::{EventTime, N_PARTITIONS, Partition};

/// The progress of event time over all partitions: the least of their watermarks.
#[derive(Debug, Clone)]
pub struct Watermarks {
    by_partition: [Option<EventTime>; N_PARTITIONS as usize],
}

impl Default for Watermarks {
    fn default() -> Self {
        Self { by_partition: [None; N_PARTITIONS as usize] }
    }
}

impl Watermarks {
    /// Takes in a partition's watermark. It never moves back.
    pub fn observe(&mut self, partition: Partition, watermark: EventTime) {
        let current = &mut self.by_partition[partition.index()];
        *current = (*current).max(Some(watermark));
    }

    pub fn of(&self, partition: Partition) -> Option<EventTime> {
        self.by_partition[partition.index()]
    }

    /// `None` until every partition has one.
    pub fn min(&self) -> Option<EventTime> {
        self.by_partition.iter().copied().min().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_partition_decides_and_none_moves_back() {
        let mut watermarks = Watermarks::default();
        for partition in Partition::all() {
            assert_eq!(watermarks.min(), None);
            watermarks.observe(partition, EventTime(100 + i64::from(partition.get())));
        }
        assert_eq!(watermarks.min(), Some(EventTime(100)));
        let first = Partition::new(0).unwrap();
        watermarks.observe(first, EventTime(50));
        assert_eq!(watermarks.of(first), Some(EventTime(100)));
        watermarks.observe(first, EventTime(200));
        assert_eq!(watermarks.min(), Some(EventTime(101)));
    }
}
