//! The registry as people and tools reach it: the router made from the table of routes.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::routing::{MethodRouter, any};
use gate::Gate;
use identity::Identity;
use registry::Registry;

use crate::config::AppConfig;
use crate::pipeline;
use crate::route::Route;
use crate::routes::{routes, secrets, site_map};
use crate::shared::{Shared, State};

/// The registry as people and tools reach it. Cheap to clone.
#[derive(Clone)]
pub struct App {
    pub(crate) inner: Shared,
}

impl App {
    /// Puts the parts together. Nothing is started.
    pub fn new(config: AppConfig, gate: Gate, identity: Identity, registry: Registry) -> Self {
        let state = State::new(
            config,
            gate,
            identity,
            registry,
            site_map(),
            routes().len(),
            secrets(),
        );
        Self {
            inner: Arc::new(state),
        }
    }

    /// The router, made from the table of routes and nothing else. Requests without a
    /// [`crate::PeerAddress`] among their extensions have no known origin.
    pub fn router(&self) -> Router {
        let mut paths: Vec<(&'static str, Vec<(usize, &'static Route)>)> = Vec::new();
        for (index, route) in routes().iter().enumerate() {
            match paths.iter_mut().find(|(path, _)| *path == route.path) {
                Some((_, methods)) => methods.push((index, route)),
                None => paths.push((route.path, vec![(index, route)])),
            }
        }
        let mut router = Router::new();
        for (path, methods) in paths {
            router = router.route(path, self.endpoint(methods));
        }
        router.fallback_service(self.endpoint(Vec::new()))
    }

    /// What serves all methods of one path.
    fn endpoint(&self, methods: Vec<(usize, &'static Route)>) -> MethodRouter {
        let app = self.inner.clone();
        let methods: Arc<[(usize, &'static Route)]> = methods.into();
        any(move |request: Request| pipeline::answer(app, methods, request))
    }
}
