//! Second factors of people: TOTP, security keys and passkeys, recovery codes.
