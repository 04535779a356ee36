//! The scheduler's simulation: a cluster on paper, uneven and failing, over a day of paper time.
//! It must come to balance, by about as many moves as are needed, and nothing may go back and forth.
//!
//! A small cluster is a test of its own. The large one, of 100 stores and 100,000 regions, prints its figures:
//! `cargo nextest run -p nokv-placement --test simulation --run-ignored only --no-capture`

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is how a test fails")]

mod day;
mod figures;
mod leaders;
mod world;

use day::Day;
use world::World;

#[test]
fn a_small_cluster_comes_to_balance_and_rests() {
    let mut world = World::new(24, 2_400, 4, 7);
    let report = Day { hour_ms: 30 * 60_000, hours: 14, print: false }.run(&mut world);
    report.check();
}

#[test]
fn another_seed_does_as_well() {
    let mut world = World::new(15, 1_500, 5, 11);
    let report = Day { hour_ms: 30 * 60_000, hours: 14, print: false }.run(&mut world);
    report.check();
}

#[test]
#[ignore = "it takes a few minutes; run it to see the figures"]
fn a_hundred_stores_and_a_hundred_thousand_regions() {
    let mut world = World::new(100, 100_000, 5, 1);
    let report = Day { hour_ms: 60 * 60_000, hours: 24, print: true }.run(&mut world);
    report.check();
}
