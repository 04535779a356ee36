//! Lists that transactions read and append to. From what was read the order of all appends follows, and with it which
//! transaction rests on which; cycles among them are anomalies. The search is the crate `adya`'s (an Elle-like checker
//! with Adya's names for what it finds), asked whether the history is strong snapshot isolation: write skew is allowed,
//! and everything worse is not, also not against real time.

use std::collections::BTreeSet;

use adya::history::{Interner, Mop, Op, OpType, ReadValue, Scalar};
use adya::{History, Opts, Valid, Workload};

use super::Moment;

/// One step of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Appended the element, which is appended nowhere else.
    Append {
        /// The list.
        key: u64,
        /// The element.
        element: u64,
    },
    /// Read the whole list.
    Read {
        /// The list.
        key: u64,
        /// What was there, own appends included.
        elements: Vec<u64>,
    },
}

/// How a transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It committed.
    Committed,
    /// It certainly did not and never will.
    Aborted,
    /// Nobody knows.
    Unknown,
}

/// One transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// When it began.
    pub called: Moment,
    /// When its end was known; of no matter if it never was.
    pub returned: Moment,
    /// How it ended.
    pub ending: Ending,
    /// What it did, in order.
    pub steps: Vec<Step>,
}

/// Whether the transactions ran under strong snapshot isolation.
///
/// # Errors
/// The anomalies found, explained.
pub fn check(transactions: &[Transaction]) -> Result<(), String> {
    if !transactions.iter().any(|transaction| transaction.ending == Ending::Committed) {
        return Ok(());
    }
    check_sources(transactions)?;
    let history = history(transactions);
    let opts = Opts { models: vec!["strong-snapshot-isolation".to_owned()], ..Opts::default() };
    let report = adya::check(&history, Workload::ListAppend, &opts);
    match report.valid {
        Valid::True => Ok(()),
        // No reads that saw anything: there is nothing to judge.
        Valid::Unknown if report.anomaly_types.iter().all(|kind| kind == "empty-transaction-graph") => Ok(()),
        Valid::Unknown | Valid::False => {
            let first = report.anomalies.values().flatten().map(|anomaly| anomaly.explanation.as_str()).next();
            Err(format!("{}: {}", report.anomaly_types.join(", "), first.unwrap_or("no explanation")))
        }
    }
}

/// Whether somebody appended whatever was read: the search takes what it knows no writer of for the unseen past.
fn check_sources(transactions: &[Transaction]) -> Result<(), String> {
    let steps =
        || transactions.iter().flat_map(|transaction| transaction.steps.iter().map(move |it| (transaction, it)));
    let appended: BTreeSet<(u64, u64)> = steps()
        .filter_map(|(_, step)| match step {
            Step::Append { key, element } => Some((*key, *element)),
            Step::Read { .. } => None,
        })
        .collect();
    for (transaction, step) in steps() {
        let Step::Read { key, elements } = step else { continue };
        if let Some(element) = elements.iter().find(|element| !appended.contains(&(*key, **element))) {
            return Err(format!(
                "from nowhere: list {key} showed {element}, which nobody appended, to {transaction:?}"
            ));
        }
    }
    Ok(())
}

fn history(transactions: &[Transaction]) -> History {
    let mut events: Vec<(Moment, usize, bool)> = Vec::new();
    for (index, transaction) in transactions.iter().enumerate() {
        events.push((transaction.called, index, true));
        let unknown = transaction.ending == Ending::Unknown;
        events.push((if unknown { Moment::MAX } else { transaction.returned }, index, false));
    }
    events.sort_unstable();
    let mut interner = Interner::default();
    let mut ops = Vec::with_capacity(events.len());
    for (position, (_, index, is_call)) in (0..).zip(events) {
        let Some(transaction) = transactions.get(index) else { continue };
        let kind = match (is_call, transaction.ending) {
            (true, _) => OpType::Invoke,
            (false, Ending::Committed) => OpType::Ok,
            (false, Ending::Aborted) => OpType::Fail,
            (false, Ending::Unknown) => OpType::Info,
        };
        let steps = transaction.steps.iter().map(|step| translate(step, kind, &mut interner)).collect();
        // A process for each transaction: that one waits for another shows in real time already.
        ops.push(Op { index: position, kind, process: i64::try_from(index).ok(), value: steps, time: None });
    }
    History::from_ops(ops, interner)
}

fn translate(step: &Step, kind: OpType, interner: &mut Interner) -> Mop {
    let mut intern = |number: u64| interner.intern(Scalar::Int(i64::try_from(number).unwrap_or(i64::MAX)));
    match step {
        Step::Append { key, element } => Mop::Append { key: intern(*key), value: intern(*element) },
        Step::Read { key, elements } => {
            let key = intern(*key);
            let value = if kind == OpType::Ok {
                ReadValue::List(elements.iter().map(|element| intern(*element)).collect())
            } else {
                ReadValue::Nil
            };
            Mop::Read { key, value }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn append(key: u64, element: u64) -> Step {
        Step::Append { key, element }
    }

    fn read(key: u64, elements: &[u64]) -> Step {
        Step::Read { key, elements: elements.to_vec() }
    }

    fn committed(called: Moment, returned: Moment, steps: Vec<Step>) -> Transaction {
        Transaction { called, returned, ending: Ending::Committed, steps }
    }

    fn anomalies(transactions: &[Transaction]) -> String {
        check(transactions).expect_err("an anomaly is found")
    }

    #[test]
    fn a_sound_history_and_write_skew_pass() {
        let sound = [
            committed(1, 2, vec![append(1, 1)]),
            committed(3, 4, vec![read(1, &[1]), append(1, 2)]),
            committed(5, 6, vec![read(1, &[1, 2])]),
        ];
        assert_eq!(check(&sound), Ok(()));
        let skew = [
            committed(1, 10, vec![read(1, &[]), read(2, &[]), append(1, 1)]),
            committed(2, 11, vec![read(1, &[]), read(2, &[]), append(2, 2)]),
            committed(20, 21, vec![read(1, &[1]), read(2, &[2])]),
        ];
        assert_eq!(check(&skew), Ok(()));
    }

    fn aborted(called: Moment, returned: Moment, steps: Vec<Step>) -> Transaction {
        Transaction { ending: Ending::Aborted, ..committed(called, returned, steps) }
    }

    /// The names are Adya's; where no order in real time is broken, the transactions overlap.
    #[test]
    fn anomalies_among_transactions_at_the_same_time_are_found() {
        let lost_update = [
            committed(1, 10, vec![read(1, &[]), append(1, 1)]),
            committed(2, 11, vec![read(1, &[]), append(1, 2)]),
            committed(20, 21, vec![read(1, &[1, 2])]),
        ];
        assert!(anomalies(&lost_update).contains("G-single"));
        let read_skew = [
            committed(1, 2, vec![append(1, 1), append(2, 2)]),
            committed(3, 20, vec![read(1, &[1]), read(2, &[2, 4])]),
            committed(5, 6, vec![append(1, 3), append(2, 4)]),
            committed(30, 31, vec![read(1, &[1, 3]), read(2, &[2, 4])]),
        ];
        assert!(anomalies(&read_skew).contains("G-single"));
        let long_fork = [
            committed(1, 20, vec![append(1, 1)]),
            committed(2, 21, vec![append(2, 2)]),
            committed(3, 22, vec![read(1, &[1]), read(2, &[])]),
            committed(4, 23, vec![read(1, &[]), read(2, &[2])]),
            committed(30, 31, vec![read(1, &[1]), read(2, &[2])]),
        ];
        assert!(anomalies(&long_fork).contains("G-nonadjacent"));
        let dirty_write = [
            committed(1, 10, vec![append(1, 1), append(2, 1)]),
            committed(2, 11, vec![append(1, 2), append(2, 2)]),
            committed(20, 21, vec![read(1, &[1, 2]), read(2, &[2, 1])]),
        ];
        assert!(anomalies(&dirty_write).contains("G0"));
        let circular_information = [
            committed(1, 10, vec![append(1, 1), read(2, &[2])]),
            committed(2, 11, vec![append(2, 2), read(1, &[1])]),
            committed(20, 21, vec![read(1, &[1]), read(2, &[2])]),
        ];
        assert!(anomalies(&circular_information).contains("G1c"));
    }

    #[test]
    fn reads_of_what_never_was_are_found() {
        let dirty_read = [aborted(1, 2, vec![append(1, 1)]), committed(3, 4, vec![read(1, &[1])])];
        assert!(anomalies(&dirty_read).contains("G1a"));
        let intermediate = [
            committed(1, 10, vec![append(1, 1), append(1, 2)]),
            committed(2, 11, vec![read(1, &[1])]),
            committed(20, 21, vec![read(1, &[1, 2])]),
        ];
        assert!(anomalies(&intermediate).contains("G1b"));
        let not_its_own = [committed(1, 2, vec![append(1, 1), read(1, &[])])];
        assert!(anomalies(&not_its_own).contains("internal"));
        let from_nowhere = [committed(1, 2, vec![append(1, 1)]), committed(3, 4, vec![read(1, &[1, 9])])];
        assert!(anomalies(&from_nowhere).contains("from nowhere"));
        let twice = [committed(1, 2, vec![append(1, 1)]), committed(3, 4, vec![read(1, &[1, 1])])];
        assert!(anomalies(&twice).contains("duplicate-elements"));
        let two_orders = [
            committed(1, 10, vec![append(1, 1)]),
            committed(2, 11, vec![append(1, 2)]),
            committed(3, 12, vec![read(1, &[1, 2])]),
            committed(4, 13, vec![read(1, &[2, 1])]),
        ];
        assert!(anomalies(&two_orders).contains("incompatible-order"));
    }

    #[test]
    fn what_goes_back_in_real_time_is_found() {
        let stale_read = [
            committed(1, 2, vec![append(1, 1)]),
            committed(3, 4, vec![read(1, &[])]),
            committed(5, 6, vec![read(1, &[1])]),
        ];
        assert!(anomalies(&stale_read).contains("G-single-item-realtime"));
        let written_before = [
            committed(1, 2, vec![append(1, 1)]),
            committed(3, 4, vec![append(1, 2)]),
            committed(5, 6, vec![read(1, &[2, 1])]),
        ];
        assert!(anomalies(&written_before).contains("G0-realtime"));
        let seen_before = [
            committed(1, 2, vec![read(1, &[1])]),
            committed(3, 4, vec![append(1, 1)]),
            committed(5, 6, vec![read(1, &[1])]),
        ];
        assert!(anomalies(&seen_before).contains("G1c-realtime"));
    }

    #[test]
    fn an_unknown_append_may_be_seen_or_not() {
        let unknown = Transaction { called: 1, returned: 2, ending: Ending::Unknown, steps: vec![append(1, 1)] };
        let next = committed(3, 4, vec![append(1, 2)]);
        assert_eq!(check(&[unknown.clone(), next.clone(), committed(5, 6, vec![read(1, &[2])])]), Ok(()));
        assert_eq!(check(&[unknown, next, committed(5, 6, vec![read(1, &[2, 1])])]), Ok(()));
    }
}
