//! The process, as reported by Linux.

use std::{fmt, fs};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};

use super::gauge;

/// The process, as reported by Linux; nothing elsewhere.
#[derive(Debug)]
pub(super) struct Process;

/// The unit in which Linux reports CPU time, in seconds.
const TICK: f64 = 0.01;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        if let Some(kibibytes) = status_field("VmRSS:") {
            gauge(
                &mut encoder,
                "process_resident_memory_bytes",
                "Memory in use, bytes",
                kibibytes.saturating_mul(1024),
            )?;
        }
        if let Some(count) = fs::read_dir("/proc/self/fd").ok().map(Iterator::count) {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            gauge(&mut encoder, "process_open_fds", "Open files and connections", count)?;
        }
        if let Some((processor, start)) = times() {
            let metric = encoder.encode_descriptor(
                "process_cpu_seconds",
                "Processor time, seconds",
                None,
                MetricType::Counter,
            )?;
            ConstCounter::new(processor).encode(metric)?;
            let metric = encoder.encode_descriptor(
                "process_start_time_seconds",
                "When the process was started, seconds since 1970",
                None,
                MetricType::Gauge,
            )?;
            ConstGauge::new(start).encode(metric)?;
        }
        Ok(())
    }
}

/// A number from `/proc/self/status`.
fn status_field(name: &str) -> Option<i64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}

/// CPU time, and when the process was started, in seconds (proc(5): fields 14, 15 and 22 of `stat`).
fn times() -> Option<(f64, f64)> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
    let booted = fs::read_to_string("/proc/stat").ok()?;
    let booted = booted.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse::<f64>().ok()?;
    Some(((ticks(14)? + ticks(15)?) * TICK, booted + ticks(22)? * TICK))
}
