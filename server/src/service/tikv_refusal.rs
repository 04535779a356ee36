//! What a request of a batch is told when it is refused. Alone it would get a gRPC status; in a batch its answer has to
//! say it in the fields that it has: a key error that ends the transaction, or a text.

use nokv_proto::{coprocessor, kvrpcpb};

/// An answer that can say why it is none.
pub(super) trait Refusable: Default {
    /// The answer that says nothing but this.
    fn because(text: String) -> Self;
}

macro_rules! refusable {
    ($($make:ident: $($answer:ty),* ;)*) => {
        $($(impl Refusable for $answer {
            fn because(text: String) -> Self {
                refusable!($make, text)
            }
        })*)*
    };
    (key_error, $text:ident) => { Self { error: Some(Box::new(abort($text))), ..Default::default() } };
    (key_errors, $text:ident) => { Self { errors: vec![abort($text)], ..Default::default() } };
    (text, $text:ident) => { Self { error: $text, ..Default::default() } };
    (other_text, $text:ident) => { Self { other_error: $text, ..Default::default() } };
    (pair, $text:ident) => { Self { pairs: vec![failed_pair($text)], ..Default::default() } };
    (kv, $text:ident) => { Self { kvs: vec![failed_pair($text)], ..Default::default() } };
    // These have no place for it: what remains is the refusal beside them.
    (nothing, $text:ident) => {{ drop($text); Self::default() }};
}

refusable! {
    key_error: kvrpcpb::GetResponse, kvrpcpb::BatchGetResponse, kvrpcpb::ScanResponse, kvrpcpb::CommitResponse,
        kvrpcpb::CleanupResponse, kvrpcpb::BatchRollbackResponse, kvrpcpb::CheckTxnStatusResponse,
        kvrpcpb::ScanLockResponse, kvrpcpb::ResolveLockResponse, kvrpcpb::TxnHeartBeatResponse, kvrpcpb::GcResponse,
        kvrpcpb::CheckSecondaryLocksResponse, kvrpcpb::BufferBatchGetResponse;
    key_errors: kvrpcpb::PrewriteResponse, kvrpcpb::PessimisticLockResponse, kvrpcpb::PessimisticRollbackResponse,
        kvrpcpb::FlushResponse;
    text: kvrpcpb::RawGetResponse, kvrpcpb::RawPutResponse, kvrpcpb::RawDeleteResponse, kvrpcpb::ImportResponse,
        kvrpcpb::DeleteRangeResponse, kvrpcpb::RawBatchPutResponse, kvrpcpb::RawBatchDeleteResponse,
        kvrpcpb::RawDeleteRangeResponse, kvrpcpb::RawCoprocessorResponse, kvrpcpb::FlashbackToVersionResponse,
        kvrpcpb::PrepareFlashbackToVersionResponse;
    other_text: coprocessor::Response;
    pair: kvrpcpb::RawBatchGetResponse;
    kv: kvrpcpb::RawScanResponse, kvrpcpb::RawBatchScanResponse;
    nothing: kvrpcpb::GetHealthFeedbackResponse, kvrpcpb::BroadcastTxnStatusResponse;
}

fn abort(text: String) -> kvrpcpb::KeyError {
    kvrpcpb::KeyError { abort: text, ..Default::default() }
}

fn failed_pair(text: String) -> kvrpcpb::KvPair {
    kvrpcpb::KvPair { error: Some(Box::new(abort(text))), ..Default::default() }
}
