//! `GET /metrics`: everything that is counted, in prometheus' text form. Counters and histograms are kept by those who
//! count; figures that others keep anyway (RocksDB, the network) are read when somebody asks.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use nokv_engine::{Cf, RocksEngine};
use nokv_raftstore::{RegionStatus, Role};
use prometheus::{Encoder as _, TextEncoder};

use super::Pages;
use super::pages::refuse;

pub(super) async fn metrics(State(pages): State<Pages<RocksEngine>>) -> Response {
    let mut text = Vec::new();
    let encoder = TextEncoder::new();
    if let Err(error) = encoder.encode(&pages.registry.gather(), &mut text) {
        return refuse(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string());
    }
    let mut figures = Figures::default();
    figures.node(&pages);
    figures.network(&pages);
    if let Err(error) = figures.rocks(pages.executor.raftstore().engine()) {
        return refuse(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string());
    }
    text.extend_from_slice(figures.render().as_bytes());
    ([(header::CONTENT_TYPE, encoder.format_type().to_owned())], text).into_response()
}

/// Regions that have series of their own: a page with those of ten thousand would cost more than they are worth.
const REGION_SERIES_MAX: usize = 256;

/// Figures by name, each with its labels: prometheus wants all values of a name together.
#[derive(Debug, Default)]
struct Figures {
    by_name: BTreeMap<String, Vec<(String, u64)>>,
}

impl Figures {
    fn add(&mut self, name: &str, labels: &[(&str, String)], value: u64) {
        let labels: Vec<String> = labels.iter().map(|(label, value)| format!("{label}=\"{value}\"")).collect();
        self.by_name.entry(format!("nokv_{name}")).or_default().push((labels.join(","), value));
    }

    fn node(&mut self, pages: &Pages<RocksEngine>) {
        let (commands, bytes) = pages.executor.writes_under_way();
        self.add("writes_under_way", &[], commands as u64);
        self.add("writes_under_way_bytes", &[], bytes as u64);
        let regions = pages.executor.raftstore().regions();
        let count = |counts: fn(&RegionStatus) -> bool| regions.iter().filter(|status| counts(status)).count() as u64;
        self.add("regions", &[], regions.len() as u64);
        self.add("regions_led", &[], count(|status| status.state.role == Role::Leader));
        self.add("regions_without_leader", &[], count(|status| status.state.leader.is_none()));
        self.add("regions_asleep", &[], count(|status| status.is_asleep));
        for status in regions.iter().take(REGION_SERIES_MAX) {
            let region = [("region", status.state.region.id.to_string())];
            self.add("region_leader", &region, u64::from(status.state.role == Role::Leader));
            self.add("region_term", &region, status.state.term);
            self.add("region_applied_index", &region, status.applied_index);
            self.add("region_committed_index", &region, status.committed_index);
            self.add("region_last_index", &region, status.last_index);
        }
    }

    fn network(&mut self, pages: &Pages<RocksEngine>) {
        for sample in pages.network.samples() {
            let reason = sample.reason.map(|reason| ("reason", reason.to_owned()));
            let store = sample.store.map(|store| ("store", store.to_string()));
            let labels: Vec<_> = reason.into_iter().chain(store).collect();
            self.add(sample.name, &labels, sample.value);
        }
    }

    fn rocks(&mut self, engine: &RocksEngine) -> nokv_engine::Result<()> {
        for cf in Cf::ALL {
            let figures = engine.cf_statistics(cf)?;
            let label = [("cf", cf.name().to_owned())];
            self.add("rocksdb_table_bytes", &label, figures.table_bytes);
            self.add("rocksdb_blob_bytes", &label, figures.blob_bytes);
            self.add("rocksdb_write_buffer_bytes", &label, figures.write_buffer_bytes);
            self.add("rocksdb_keys_estimate", &label, figures.keys_estimate);
            self.add("rocksdb_compaction_pending_bytes", &label, figures.compaction_pending_bytes);
            self.add("rocksdb_level0_files", &label, figures.level0_files);
        }
        let figures = engine.statistics()?;
        self.add("rocksdb_block_cache_bytes", &[], figures.block_cache_bytes);
        self.add("rocksdb_block_cache_pinned_bytes", &[], figures.block_cache_pinned_bytes);
        self.add("rocksdb_views", &[], figures.views);
        self.add("rocksdb_oldest_view_unix_seconds", &[], figures.oldest_view_unix_s);
        self.add("rocksdb_compactions_running", &[], figures.compactions_running);
        self.add("rocksdb_flushes_running", &[], figures.flushes_running);
        self.add("rocksdb_write_stopped", &[], u64::from(figures.is_write_stopped));
        self.add("rocksdb_delayed_write_bytes_per_second", &[], figures.delayed_write_bytes_per_s);
        self.add("rocksdb_background_errors", &[], figures.background_errors);
        Ok(())
    }

    /// A name that ends in `_total` only grows; the others are gauges.
    fn render(&self) -> String {
        let mut text = String::new();
        for (name, values) in &self.by_name {
            let kind = if name.ends_with("_total") { "counter" } else { "gauge" };
            text.push_str(&format!("# TYPE {name} {kind}\n"));
            for (labels, value) in values {
                if labels.is_empty() {
                    text.push_str(&format!("{name} {value}\n"));
                } else {
                    text.push_str(&format!("{name}{{{labels}}} {value}\n"));
                }
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_a_name_stand_together_under_its_type() {
        let mut figures = Figures::default();
        figures.add("b_total", &[("store", "2".to_owned())], 5);
        figures.add("a", &[], 1);
        figures.add("b_total", &[("reason", "full".to_owned()), ("store", "3".to_owned())], 6);
        let text = "# TYPE nokv_a gauge\nnokv_a 1\n# TYPE nokv_b_total counter\nnokv_b_total{store=\"2\"} 5\n\
                    nokv_b_total{reason=\"full\",store=\"3\"} 6\n";
        assert_eq!(figures.render(), text);
    }
}
