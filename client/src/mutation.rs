//! What the user asks to write, and the same on its way to the stores.
//! Keys are encoded once, when a mutation is placed in its region, and never again.

use bytes::Bytes;
use nokv_percolator::Key;
use nokv_proto::kvrpcpb;

use crate::spread::Placed;

/// One key's change within a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mutation {
    /// The user key.
    pub key: Bytes,
    /// What happens to it.
    pub write: Write,
}

/// What happens to a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// It gets this value (which may be empty).
    Put(Bytes),
    /// It is removed.
    Delete,
    /// It stays as it is, but no other transaction may have written it since this one began, nor write it until this
    /// one ends. Turns a read that a decision rests on into a check at commit.
    Lock,
}

impl Mutation {
    /// Sets `key` to `value`.
    pub fn put(key: impl AsRef<[u8]>, value: impl Into<Bytes>) -> Self {
        Mutation { key: Bytes::copy_from_slice(key.as_ref()), write: Write::Put(value.into()) }
    }

    /// Removes `key`.
    pub fn delete(key: impl AsRef<[u8]>) -> Self {
        Mutation { key: Bytes::copy_from_slice(key.as_ref()), write: Write::Delete }
    }

    /// Guards `key` without changing it.
    pub fn lock(key: impl AsRef<[u8]>) -> Self {
        Mutation { key: Bytes::copy_from_slice(key.as_ref()), write: Write::Lock }
    }

    /// Bytes of key and value.
    pub fn bytes(&self) -> usize {
        self.key.len() + self.write.bytes()
    }
}

impl Write {
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Write::Put(value) => value.len(),
            Write::Delete | Write::Lock => 0,
        }
    }
}

/// A mutation with its key encoded for routing.
#[derive(Clone, Debug)]
pub(crate) struct PlacedMutation {
    pub(crate) key: PlacedKey,
    pub(crate) write: Write,
}

impl From<Mutation> for PlacedMutation {
    fn from(mutation: Mutation) -> Self {
        PlacedMutation { key: mutation.key.into(), write: mutation.write }
    }
}

impl PlacedMutation {
    /// In kvproto's words.
    pub(crate) fn to_wire(&self) -> kvrpcpb::Mutation {
        let (op, value) = match &self.write {
            Write::Put(value) => (kvrpcpb::Op::Put, value.clone()),
            Write::Delete => (kvrpcpb::Op::Del, Bytes::new()),
            Write::Lock => (kvrpcpb::Op::Lock, Bytes::new()),
        };
        kvrpcpb::Mutation { op: op.into(), key: self.key.user.clone(), value, ..Default::default() }
    }
}

impl Placed for PlacedMutation {
    fn encoded(&self) -> &[u8] {
        self.key.encoded()
    }

    fn bytes(&self) -> usize {
        self.key.bytes() + self.write.bytes()
    }
}

/// A user key with its encoding.
#[derive(Clone, Debug)]
pub(crate) struct PlacedKey {
    pub(crate) user: Bytes,
    encoded: Key,
}

impl From<Bytes> for PlacedKey {
    fn from(user: Bytes) -> Self {
        let encoded = Key::encode(&user);
        PlacedKey { user, encoded }
    }
}

impl Placed for PlacedKey {
    fn encoded(&self) -> &[u8] {
        self.encoded.as_encoded()
    }

    fn bytes(&self) -> usize {
        self.user.len()
    }
}
