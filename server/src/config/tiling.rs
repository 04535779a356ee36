//! Do the regions of a topology file tile the keyspace: no empty region, no gap, no overlap, nothing left at the ends?
//!
//! Bounds are compared as user keys. The memcomparable encoding in which regions live keeps that order.

use super::decode::Unread;
use super::finding::Finding;
use super::topology::{RegionConfig, Topology};
use crate::key_text::KeyText;

/// All findings about bounds.
pub(super) fn check(topology: &Topology, unread: &Unread) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut ranges = Vec::new();
    for (at, region) in topology.regions.iter().enumerate().filter(|(at, _)| !unread.bounds.contains(at)) {
        let (start, end) = (&region.start_key, &region.end_key);
        if !end.is_unbounded() && start >= end {
            let problem = format!("the region is empty: it starts at {start} and ends before {end}");
            findings.push(Finding { line: region.line, field: format!("regions[{at}].end_key"), problem });
        } else {
            ranges.push((at, region));
        }
    }
    ranges.sort_by(|(_, a), (_, b)| a.start_key.cmp(&b.start_key));
    // A region without readable bounds may fill any gap, so gaps mean nothing then; overlaps still do.
    let gaps_mean_something = unread.bounds.is_empty() && !unread.regions;
    let mut sweep = Sweep { findings, gaps_mean_something, furthest: None };
    for (at, region) in ranges {
        sweep.next(at, region);
    }
    sweep.finish()
}

/// Walks the regions by their start and remembers the one that reaches furthest.
struct Sweep<'a> {
    findings: Vec<Finding>,
    gaps_mean_something: bool,
    furthest: Option<&'a RegionConfig>,
}

impl<'a> Sweep<'a> {
    fn next(&mut self, at: usize, region: &'a RegionConfig) {
        let start = &region.start_key;
        let Some(furthest) = self.furthest else {
            if !start.is_unbounded() {
                self.gap(at, region, &KeyText::default());
            }
            self.furthest = Some(region);
            return;
        };
        let reached = &furthest.end_key;
        if reached.is_unbounded() || start < reached {
            let end = earlier_end(reached, &region.end_key);
            let problem = format!("overlaps region {}: both hold {start} up to {end}", furthest.id);
            self.findings.push(Finding { line: region.line, field: format!("regions[{at}].start_key"), problem });
        } else if reached < start {
            self.gap(at, region, reached);
        }
        if !reached.is_unbounded() && (region.end_key.is_unbounded() || region.end_key > *reached) {
            self.furthest = Some(region);
        }
    }

    fn gap(&mut self, at: usize, region: &RegionConfig, from: &KeyText) {
        if self.gaps_mean_something {
            let problem = format!("a gap before this region: no region holds {from} up to {}", region.start_key);
            self.findings.push(Finding { line: region.line, field: format!("regions[{at}].start_key"), problem });
        }
    }

    fn finish(mut self) -> Vec<Finding> {
        if !self.gaps_mean_something {
            return self.findings;
        }
        match self.furthest {
            None => {
                let problem = "no region holds any key; a single region needs neither bound".to_string();
                self.findings.push(Finding { line: 1, field: "regions".into(), problem });
            }
            Some(last) if !last.end_key.is_unbounded() => {
                let problem = format!("a gap at the end: no region holds {} and above", last.end_key);
                self.findings.push(Finding { line: last.line, field: "regions".into(), problem });
            }
            Some(_) => {}
        }
        self.findings
    }
}

fn earlier_end<'a>(a: &'a KeyText, b: &'a KeyText) -> &'a KeyText {
    if a.is_unbounded() || (!b.is_unbounded() && b < a) { b } else { a }
}
