//! Registering, and the first user of an empty registry.
