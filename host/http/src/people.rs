//! The pages of people: becoming someone on the registry, and proving it.
