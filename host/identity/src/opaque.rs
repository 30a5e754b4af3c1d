//! Secrets that a browser or a mail carries: cookies, links, ceremonies. 32 random bytes in
//! base64url; the database has their SHA-256 only.
