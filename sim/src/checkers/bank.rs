//! The bank's books: transfers move money between accounts and never make or lose any, so every snapshot of all
//! accounts has the same sum. Catches read skew, lost updates and half-applied transactions.

use std::collections::BTreeMap;

use super::Moment;

/// One snapshot of all accounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// When the snapshot was asked for.
    pub called: Moment,
    /// Its timestamp.
    pub version: u64,
    /// What each account held.
    pub balances: BTreeMap<u64, u64>,
}

/// Whether every snapshot shows `accounts` accounts that hold `total` together, and two of one timestamp are the same.
///
/// # Errors
/// A text that shows the first snapshot at fault.
pub fn check(accounts: usize, total: u64, statements: &[Statement]) -> Result<(), String> {
    let mut by_version: BTreeMap<u64, &Statement> = BTreeMap::new();
    for statement in statements {
        let (sum, count) = (statement.balances.values().sum::<u64>(), statement.balances.len());
        if sum != total || count != accounts {
            return Err(format!(
                "the snapshot at {} (called at {}) shows {count} accounts that hold {sum}, not {accounts} with \
                 {total}: {:?}",
                statement.version, statement.called, statement.balances
            ));
        }
        if let Some(other) = by_version.insert(statement.version, statement)
            && other.balances != statement.balances
        {
            return Err(format!(
                "one snapshot, {}, was read differently: {:?} and {:?}",
                statement.version, other.balances, statement.balances
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement(version: u64, balances: &[u64]) -> Statement {
        Statement { called: version, version, balances: (0..).zip(balances.iter().copied()).collect() }
    }

    #[test]
    fn planted_anomalies_are_found() {
        let sound = [statement(1, &[50, 50]), statement(2, &[40, 60]), statement(2, &[40, 60])];
        assert_eq!(check(2, 100, &sound), Ok(()));
        assert!(check(2, 100, &[statement(1, &[40, 50])]).unwrap_err().contains("hold 90"));
        assert!(check(2, 100, &[statement(1, &[100])]).unwrap_err().contains("1 accounts"));
        let twice = [statement(1, &[50, 50]), statement(1, &[40, 60])];
        assert!(check(2, 100, &twice).unwrap_err().contains("differently"));
    }
}
