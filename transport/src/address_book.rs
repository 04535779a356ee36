//! Where stores listen. One book is shared by everything in a process that dials stores.
//! It may change while it is read: stores join, move and leave.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::RwLock;

use crate::StoreId;

/// The address of each known store. Clones share one book; a change is seen by all of them.
#[derive(Clone, Debug, Default)]
pub struct AddressBook {
    entries: Arc<RwLock<BTreeMap<StoreId, Arc<str>>>>,
}

impl AddressBook {
    /// An empty book.
    #[must_use]
    pub fn new() -> AddressBook {
        AddressBook::default()
    }

    /// Enters or changes where `store` listens: `host:port`, `[ipv6]:port`. Connections to an address that changed are
    /// replaced within about a second.
    ///
    /// # Errors
    /// The text is no such address; the book is as it was.
    pub fn set(&self, store: StoreId, address: &str) -> Result<(), BadAddress> {
        check(address).map_err(|reason| BadAddress { store, address: address.to_owned(), reason })?;
        self.entries.write().insert(store, address.into());
        Ok(())
    }

    /// Forgets `store`. Connections to it end within about a second. Whether it was known.
    pub fn remove(&self, store: StoreId) -> bool {
        self.entries.write().remove(&store).is_some()
    }

    /// Where `store` listens, if it is known.
    #[must_use]
    pub fn get(&self, store: StoreId) -> Option<Arc<str>> {
        self.entries.read().get(&store).cloned()
    }

    /// All entries, by store id.
    #[must_use]
    pub fn entries(&self) -> Vec<(StoreId, Arc<str>)> {
        self.entries.read().iter().map(|(store, address)| (*store, Arc::clone(address))).collect()
    }
}

/// A text that is no address. Nothing was changed; the caller corrects its configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("store {store}: {address:?} is not an address like host:port: {reason}")]
pub struct BadAddress {
    /// Whose address it was to be.
    pub store: StoreId,
    /// The text as given.
    pub address: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

fn check(address: &str) -> Result<(), &'static str> {
    let (host, port) = address.rsplit_once(':').ok_or("there is no port")?;
    if host.is_empty() {
        return Err("there is no host");
    }
    if host.contains(':') && !(host.starts_with('[') && host.ends_with(']')) {
        return Err("an IPv6 address has to be in brackets");
    }
    if host.contains(|c: char| c.is_whitespace() || "/@?#".contains(c)) {
        return Err("the host has a character that hosts do not have");
    }
    match port.parse::<u16>() {
        Ok(0) => Err("port 0 cannot be dialled"),
        Ok(_) => Ok(()),
        Err(_) => Err("the port is not a number up to 65535"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_one_book() {
        let book = AddressBook::new();
        let other = book.clone();
        book.set(StoreId(1), "localhost:20160").unwrap();
        assert_eq!(other.get(StoreId(1)).as_deref(), Some("localhost:20160"));
        other.set(StoreId(1), "[::1]:20161").unwrap();
        assert_eq!(book.entries(), vec![(StoreId(1), "[::1]:20161".into())]);
        assert!(book.remove(StoreId(1)));
        assert!(!other.remove(StoreId(1)));
        assert_eq!(other.get(StoreId(1)), None);
    }

    #[test]
    fn a_bad_address_is_refused_and_leaves_the_old_one() {
        let book = AddressBook::new();
        book.set(StoreId(7), "db-7.internal:20160").unwrap();
        for bad in ["", "host", ":1", "host:", "host:0", "host:65536", "::1:80", "http://host:80", "a b:80"] {
            let error = book.set(StoreId(7), bad).unwrap_err();
            assert_eq!(error.address, bad);
            assert!(error.to_string().starts_with("store 7: "), "{error}");
        }
        assert_eq!(book.get(StoreId(7)).as_deref(), Some("db-7.internal:20160"));
    }
}
