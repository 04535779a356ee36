//! The timestamp server as a process: take the directory, bind, say so, serve, stop in order.
//!
//! The order matters: the directory is locked before the port is bound, so a second server on the same directory is
//! told about the directory, whatever port it wants.

use std::future::Future;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use axum::serve::ListenerExt as _;
use slog::{Logger, info, warn};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::bound_file::{BoundFile, BoundFileError};
use super::oracle::Oracle;
use super::service;

/// How long connections may take to finish after the signal to stop.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(3);

/// What a timestamp server needs to know.
#[derive(Clone, Debug)]
pub struct TsoOptions {
    /// HOST:PORT to bind; port 0 takes a free one.
    pub listen: String,
    /// The directory of the bound; created if it does not exist.
    pub workdir: PathBuf,
    /// Go on above this time although the record is damaged; milliseconds since 1970.
    pub recover_bound_ms: Option<u64>,
}

/// Why the server did not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The directory cannot be used; the text says what to do.
    #[error(transparent)]
    Directory(#[from] BoundFileError),
    /// The address cannot be bound: free it, or choose another.
    #[error("cannot listen on {listen}: {source}")]
    Listen {
        /// HOST:PORT as it was given.
        listen: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// Serving ended by itself.
    #[error("the server stopped: {0}")]
    Stopped(#[from] std::io::Error),
}

/// Serves until `stop` resolves. Prints one ready line on standard output once requests are answered.
///
/// # Errors
/// [`ServeError`]; each variant says what to do.
pub async fn serve(
    options: TsoOptions,
    log: Logger,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    let file = BoundFile::open(&options.workdir, options.recover_bound_ms)?;
    let listen_error = |source| ServeError::Listen { listen: options.listen.clone(), source };
    let listener = TcpListener::bind(&options.listen).await.map_err(listen_error)?;
    let address = listener.local_addr().map_err(listen_error)?;
    let (stopping, mut stopped) = watch::channel(false);
    let router = service::router(Oracle::new(file, log.clone()), stopping.subscribe());
    // Without it an answer waits for the acknowledgement of the one before. A connection that refuses is dead anyway.
    let listener = listener.tap_io(|connection| drop(connection.set_nodelay(true)));

    let serving = axum::serve(listener, router).with_graceful_shutdown(async move {
        stop.await;
        stopping.send_replace(true);
    });
    announce(address, &log);
    let overdue = async {
        if stopped.wait_for(|stop| *stop).await.is_ok() {
            tokio::time::sleep(DRAIN_TIME_MAX).await;
        } else {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        ended = std::future::IntoFuture::into_future(serving) => ended?,
        () = overdue => warn!(log, "some connections did not finish in time and were closed"),
    }
    info!(log, "the timestamp server has stopped");
    Ok(())
}

fn announce(address: SocketAddr, log: &Logger) {
    info!(log, "the timestamp server listens"; "address" => %address);
    let mut out = std::io::stdout().lock();
    // Whoever started us may have closed standard output; that is no reason not to serve.
    let _ = writeln!(out, "ready: tso listening on http://{address}").and_then(|()| out.flush());
}
