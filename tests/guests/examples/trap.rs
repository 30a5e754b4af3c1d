//! Panics.

guests::guest!("trap", |_| panic!("on purpose"));
