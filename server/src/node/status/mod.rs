//! The status port: what operators and their tools read, over HTTP. It only looks, and never changes anything.
//!
//! `GET /health` (200, or 503 while stopping), `/status` (JSON), `/metrics` (prometheus text), `/digest?region=ID`
//! (reads the whole region: one number for its bytes at an applied index). Each has a file; what they share is in
//! `pages.rs`.

mod digest;
mod metrics;
mod pages;
mod regions;

use std::future::IntoFuture as _;

use axum::Router;
use axum::routing::get;
use nokv_engine::RocksEngine;
use tokio::net::TcpListener;

pub(super) use self::pages::Pages;

/// The HTTP server of the status port.
#[derive(Debug)]
pub(super) struct StatusServer {
    router: Router,
}

impl StatusServer {
    pub(super) fn new(pages: Pages<RocksEngine>) -> Self {
        let router = Router::new()
            .route("/health", get(pages::health))
            .route("/status", get(regions::status))
            .route("/metrics", get(metrics::metrics))
            .route("/digest", get(digest::digest_of_region))
            .fallback(pages::unknown_path)
            .with_state(pages);
        Self { router }
    }

    /// Serves until the task is aborted.
    pub(super) async fn serve(self, listener: TcpListener) {
        // It ends only if the listener fails for good; the store itself goes on without it.
        let _ = axum::serve(listener, self.router).into_future().await;
    }
}
