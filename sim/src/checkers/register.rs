//! Is a register linearizable? Every written value is different, which makes the question easy: Gibbons and Korach,
//! "Testing shared memories" (1997), section 4.1. Chosen over a general search (exponential at worst, and crates that
//! have one keep every state): this one is exact for such histories, takes n log n, and names the operations at fault.
//!
//! A value's operations, its write and all reads of it, must together take effect in one uninterrupted stretch of time.
//! Its zone runs from the earliest return to the latest call among them. If it runs forward, the register surely holds
//! the value all through the zone: no other value's forward zone may overlap it. If it runs backward, all operations
//! overlap in it and may take effect anywhere inside: it must not lie wholly within another value's forward zone.

use std::collections::BTreeMap;

use super::Moment;

/// What an operation did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Wrote this value, which nobody else writes. Values are above 0.
    Write(u64),
    /// Read this value; 0 = the register was never written.
    Read(u64),
}

/// One operation on one register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    /// What it did.
    pub action: Action,
    /// When it was called.
    pub called: Moment,
    /// When it returned; `None`: whether a write took effect is unknown. Reads always have it.
    pub returned: Option<Moment>,
}

/// All that is known of one value.
#[derive(Clone, Copy, Debug)]
struct Zone {
    value: u64,
    /// When its write was called.
    written: Moment,
    earliest_return: Moment,
    latest_call: Moment,
    was_read: bool,
    acknowledged: bool,
}

impl Zone {
    fn is_forward(&self) -> bool {
        self.earliest_return < self.latest_call
    }
}

/// Whether the operations on one register are linearizable.
///
/// # Errors
/// A text that names the values at fault.
pub fn check(operations: &[Operation]) -> Result<(), String> {
    let zones = zones(operations)?;
    let mut forward: Vec<&Zone> = zones.iter().filter(|zone| zone.is_forward()).collect();
    forward.sort_by_key(|zone| zone.earliest_return);
    for (first, second) in forward.iter().zip(forward.iter().skip(1)) {
        if second.earliest_return < first.latest_call {
            return Err(format!(
                "value {} was there from {} to {} at least, and value {} from {} to {}",
                first.value,
                first.earliest_return,
                first.latest_call,
                second.value,
                second.earliest_return,
                second.latest_call
            ));
        }
    }
    for zone in zones.iter().filter(|zone| !zone.is_forward()) {
        let before = forward.partition_point(|other| other.earliest_return < zone.latest_call);
        let Some(around) = before.checked_sub(1).and_then(|index| forward.get(index)) else { continue };
        if zone.earliest_return < around.latest_call {
            return Err(format!(
                "value {} took effect between {} and {}, all through which the register held value {}",
                zone.value, zone.latest_call, zone.earliest_return, around.value
            ));
        }
    }
    Ok(())
}

fn zones(operations: &[Operation]) -> Result<Vec<Zone>, String> {
    let initial = Zone { value: 0, written: 0, earliest_return: 0, latest_call: 0, was_read: true, acknowledged: true };
    let mut zones = BTreeMap::from([(0, initial)]);
    for operation in operations {
        if let Action::Write(value) = operation.action {
            let zone = Zone {
                value,
                written: operation.called,
                earliest_return: operation.returned.unwrap_or(Moment::MAX),
                latest_call: operation.called,
                was_read: false,
                acknowledged: operation.returned.is_some(),
            };
            if zones.insert(value, zone).is_some() {
                return Err(format!("value {value} was written twice: the workload is broken"));
            }
        }
    }
    for operation in operations {
        let Action::Read(value) = operation.action else { continue };
        let Some(returned) = operation.returned else { continue };
        let Some(zone) = zones.get_mut(&value) else {
            return Err(format!("value {value} was read at {returned} and never written"));
        };
        if returned < zone.written {
            return Err(format!("value {value} was read at {returned}, before its write at {}", zone.written));
        }
        zone.earliest_return = zone.earliest_return.min(returned);
        zone.latest_call = zone.latest_call.max(operation.called);
        zone.was_read = true;
    }
    // An unknown write that nobody saw may be left out.
    Ok(zones.into_values().filter(|zone| zone.acknowledged || zone.was_read).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn write(value: u64, called: Moment, returned: Moment) -> Operation {
        Operation { action: Action::Write(value), called, returned: Some(returned) }
    }

    fn read(value: u64, called: Moment, returned: Moment) -> Operation {
        Operation { action: Action::Read(value), called, returned: Some(returned) }
    }

    /// Tries every order that respects time. Slow and plainly right.
    fn by_search(operations: &[Operation]) -> bool {
        fn go(left: &[Operation], value: u64) -> bool {
            if left.iter().all(|operation| operation.returned.is_none()) {
                return true;
            }
            let first_return = left.iter().filter_map(|operation| operation.returned).min().unwrap();
            (0..left.len()).filter(|index| left[*index].called <= first_return).any(|index| {
                let rest: Vec<_> = left.iter().enumerate().filter(|(i, _)| *i != index).map(|(_, o)| *o).collect();
                match left[index].action {
                    Action::Write(written) => go(&rest, written),
                    Action::Read(seen) => seen == value && go(&rest, value),
                }
            })
        }
        go(operations, 0)
    }

    #[test]
    fn planted_anomalies_are_found() {
        let stale = [write(1, 1, 2), write(2, 3, 4), read(1, 5, 6)];
        assert!(check(&stale).unwrap_err().contains("value 2"));
        let flicker = [write(1, 1, 10), write(2, 2, 11), read(1, 12, 13), read(2, 14, 15)];
        assert!(check(&flicker).is_err());
        let lost = [write(1, 1, 2), read(0, 3, 4)];
        assert!(check(&lost).is_err());
        let invented = [read(9, 1, 2)];
        assert!(check(&invented).unwrap_err().contains("never written"));
        let early = [read(1, 1, 2), write(1, 3, 4)];
        assert!(check(&early).unwrap_err().contains("before its write"));
    }

    #[test]
    fn an_unknown_write_may_take_effect_at_any_time_after_its_call_or_never() {
        let unknown = Operation { action: Action::Write(1), called: 1, returned: None };
        assert_eq!(check(&[unknown, read(0, 2, 3), write(2, 4, 5), read(2, 6, 7), read(1, 8, 9)]), Ok(()));
        assert_eq!(check(&[unknown, write(2, 4, 5), read(2, 6, 7)]), Ok(()));
        assert!(check(&[unknown, read(1, 2, 3), write(2, 4, 5), read(1, 8, 9)]).is_err());
    }

    #[test]
    fn it_agrees_with_a_search_of_all_orders() {
        let (mut sound, mut broken) = (0, 0);
        for seed in 0..20_000 {
            let mut random = Random::new(seed, "register histories");
            let mut moments: Vec<u64> = (1..=12).collect();
            random.shuffle(&mut moments);
            let mut written = 0;
            let operations: Vec<Operation> = moments
                .chunks(2)
                .map(|pair| {
                    let (called, returned) = (pair[0].min(pair[1]), pair[0].max(pair[1]));
                    if random.chance(400) {
                        written += 1;
                        let returned = (!random.chance(200)).then_some(returned);
                        return Operation { action: Action::Write(written), called, returned };
                    }
                    read(random.below(4), called, returned)
                })
                .filter(|operation| !matches!(operation.action, Action::Read(value) if value > 3))
                .collect();
            let expected = by_search(&operations);
            assert_eq!(check(&operations).is_ok(), expected, "seed {seed}: {operations:?}");
            if expected { sound += 1 } else { broken += 1 }
        }
        assert!(sound > 500 && broken > 500, "{sound} sound and {broken} broken histories");
    }
}
