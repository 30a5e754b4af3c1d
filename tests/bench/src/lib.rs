//! What Portcullis costs, beside what it stands in for.
