//! Images: a region's data, shipped as a sequence of chunks to a peer that lags too far. What chunks hold is
//! replication's business; a network keeps their order, loses none of them in silence, and says how it ended.

use std::fmt;

use bytes::Bytes;

/// Where an image's chunks come from. Read on threads that may wait for the disk.
pub trait ImageSource: fmt::Debug + Send {
    /// The next chunk; `None` after the last.
    ///
    /// # Errors
    /// The image cannot be read any further; a text for the log. The receiver drops what it has.
    fn next_chunk(&mut self) -> Result<Option<Bytes>, String>;
}

/// Where an image's chunks go. Called on threads that may wait for the disk. Dropped unfinished, it forgets everything.
pub trait ImageSink: fmt::Debug + Send {
    /// Takes the next chunk.
    ///
    /// # Errors
    /// The chunk is wrong or cannot be kept; a text for both ends' logs. Nothing more is accepted.
    fn chunk(&mut self, chunk: Bytes) -> Result<(), String>;

    /// All chunks have come: keeps the image and lets replication have it.
    ///
    /// # Errors
    /// As [`ImageSink::chunk`].
    fn finish(self: Box<Self>) -> Result<(), String>;
}

type Tell = Box<dyn FnOnce(Result<(), String>) + Send>;

/// Told exactly once how sending an image ended: dropping it untold means that it failed.
pub struct ImageReport {
    tell: Option<Tell>,
}

impl ImageReport {
    /// Calls `tell` with the outcome; it must return at once.
    pub fn new(tell: impl FnOnce(Result<(), String>) + Send + 'static) -> Self {
        Self { tell: Some(Box::new(tell)) }
    }

    /// The receiver has all of it (`Ok`), or the text says why not.
    pub fn tell(mut self, outcome: Result<(), String>) {
        if let Some(tell) = self.tell.take() {
            tell(outcome);
        }
    }
}

impl Drop for ImageReport {
    fn drop(&mut self) {
        if let Some(tell) = self.tell.take() {
            tell(Err("the image was dropped on its way".to_owned()));
        }
    }
}

impl fmt::Debug for ImageReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImageReport").finish_non_exhaustive()
    }
}

/// An image on its way out, as a network is given it.
#[derive(Debug)]
pub struct OutgoingImage {
    /// The chunks.
    pub source: Box<dyn ImageSource>,
    /// Whom to tell.
    pub report: ImageReport,
}
