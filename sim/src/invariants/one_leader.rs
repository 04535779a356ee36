//! In one term of one region at most one peer leads, over all its lives.
//! Broken by votes that are given twice or forgotten.

use std::collections::BTreeMap;

use nokv_transport::{RegionId, StoreId};
use parking_lot::Mutex;

/// Who was seen to lead.
#[derive(Debug, Default)]
pub struct OneLeader {
    seen: Mutex<BTreeMap<(RegionId, u64), StoreId>>,
}

impl OneLeader {
    /// The peer on `store` leads `region` in `term`.
    ///
    /// # Errors
    /// Another one was seen to lead in that term.
    pub fn leads(&self, region: RegionId, term: u64, store: StoreId) -> Result<(), String> {
        let first = *self.seen.lock().entry((region, term)).or_insert(store);
        if first == store {
            return Ok(());
        }
        Err(format!("region {region} is led by stores {first} and {store} in term {term}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_leader_is_found() {
        let rule = OneLeader::default();
        assert_eq!(rule.leads(RegionId(1), 6, StoreId(1)), Ok(()));
        assert_eq!(rule.leads(RegionId(1), 6, StoreId(1)), Ok(()));
        assert_eq!(rule.leads(RegionId(1), 7, StoreId(2)), Ok(()));
        assert_eq!(rule.leads(RegionId(2), 6, StoreId(2)), Ok(()));
        assert!(rule.leads(RegionId(1), 6, StoreId(2)).is_err());
    }
}
