//! Protobuf by hand: the few lines that the wire format takes, so that what the tests expect does not come from the
//! code that they test.

use std::fmt::Debug;

use prost::Message;

/// A number as protobuf writes it: seven bits a byte, least first, the top bit set on all but the last.
pub fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

/// A field that holds a number, a bool or an enum.
pub fn number(field: u64, value: u64) -> Vec<u8> {
    [varint(field << 3), varint(value)].concat()
}

/// A field that holds bytes, a string or a message.
pub fn block(field: u64, content: impl AsRef<[u8]>) -> Vec<u8> {
    let content = content.as_ref();
    [varint(field << 3 | 2), varint(content.len() as u64), content.to_vec()].concat()
}

/// Asserts that `message` is written as `fields` in this order, and read back from them unchanged.
#[track_caller]
pub fn assert_wire<M: Message + Default + PartialEq + Debug>(message: &M, fields: &[Vec<u8>]) {
    let expected = fields.concat();
    assert_eq!(message.encode_to_vec(), expected, "{message:?} is written otherwise");
    assert_eq!(&M::decode(expected.as_slice()).expect("well-formed"), message, "read back otherwise");
}

#[test]
fn the_hand_written_form_is_the_documented_one() {
    // The two examples of the encoding's own documentation: 150 in field 1, "testing" in field 2.
    assert_eq!(number(1, 150), [0x08, 0x96, 0x01]);
    assert_eq!(block(2, "testing"), [0x12, 0x07, 0x74, 0x65, 0x73, 0x74, 0x69, 0x6e, 0x67]);
}
