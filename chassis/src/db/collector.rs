//! Metrics about the database connections, looked up on request.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::{MetricType, gauge::ConstGauge},
};

use super::{Db, Pools};
use crate::metrics::gauge;

/// The connections to the database.
#[derive(Debug)]
pub(super) struct Database(pub(super) Db);

impl Collector for Database {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (mut used, mut idle, mut most) = (0, 0, 0);
        match self.0.pools() {
            Err(_) => {}
            Ok(Pools::Sqlite { reader, writer, .. }) => {
                for pool in [reader, writer] {
                    let free = i64::try_from(pool.num_idle()).unwrap_or(i64::MAX);
                    (used, idle) = (used + i64::from(pool.size()) - free, idle + free);
                    most += i64::from(pool.options().get_max_connections());
                }
            }
            Ok(Pools::Postgres { pool, .. }) => {
                idle = i64::try_from(pool.num_idle()).unwrap_or(i64::MAX);
                used = i64::from(pool.size()) - idle;
                most = i64::from(pool.options().get_max_connections());
            }
        }
        let is_up = i64::from(self.0.is_ready());
        gauge(
            &mut encoder,
            "imprint_database_up",
            "Whether the database is there and can be written",
            is_up,
        )?;
        gauge(&mut encoder, "imprint_database_connections_max", "Most connections to the database", most)?;
        let metric = encoder.encode_descriptor(
            "imprint_database_oldest_transaction_seconds",
            "How long the oldest transaction of this service has been open, seconds",
            None,
            MetricType::Gauge,
        )?;
        ConstGauge::new(self.0.oldest_transaction().as_secs_f64()).encode(metric)?;
        let mut metric = encoder.encode_descriptor(
            "imprint_database_connections",
            "Connections to the database",
            None,
            MetricType::Gauge,
        )?;
        for (state, count) in [("used", used.max(0)), ("idle", idle)] {
            ConstGauge::new(count).encode(metric.encode_family(&[("state", state)])?)?;
        }
        Ok(())
    }
}
