//! `Ergate-Signature`: proof to the receiver that the worker sent a request, and when.
//!
//! ```text
//! Ergate-Signature: t=<seconds since the epoch>,v1=<hex of HMAC-SHA256(secret, "<t>.<body>")>
//! ```
//!
//! HMAC is that of [RFC 2104](https://www.rfc-editor.org/rfc/rfc2104) with SHA-256
//! ([RFC 4868](https://www.rfc-editor.org/rfc/rfc4868) has test vectors); the time inside what is signed keeps an old
//! request from being sent again later, as in Stripe's webhook signatures, whose form this is. A receiver
//!
//! 1. takes `t` and `v1` from the header,
//! 2. refuses a `t` more than five minutes away from its own clock,
//! 3. computes the HMAC of `t`, a dot and the body's bytes as they came, before any parsing,
//! 4. compares in constant time, so that how long a refusal takes tells nothing of the right value.
//!
//! ```
//! use hmac::{Hmac, KeyInit, Mac};
//! use sha2::Sha256;
//!
//! fn is_from_ergate(secret: &[u8], header: &str, body: &[u8], now: u64) -> bool {
//!     let part = |name: &str| header.split(',').find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
//!     let (Some(at), Some(signature)) = (part("t"), part("v1")) else { return false };
//!     let fresh = at.parse().is_ok_and(|at: u64| at.abs_diff(now) <= 300);
//!     let bytes: Option<Vec<u8>> = (0..signature.len())
//!         .step_by(2)
//!         .map(|i| u8::from_str_radix(signature.get(i..i + 2)?, 16).ok())
//!         .collect();
//!
//!     let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
//!     mac.update(at.as_bytes());
//!     mac.update(b".");
//!     mac.update(body);
//!     // `verify_slice` compares in constant time.
//!     fresh && bytes.is_some_and(|bytes| mac.verify_slice(&bytes).is_ok())
//! }
//!
//! let header = "t=1798761600,v1=1eb92afc067aad13caacb1be9998325a560b3ddb18000023c52cbb532a37ea18";
//! assert!(is_from_ergate(b"shared secret", header, br#"{"order":7}"#, 1_798_761_660));
//! assert!(!is_from_ergate(b"shared secret", header, br#"{"order":8}"#, 1_798_761_660));
//! assert!(!is_from_ergate(b"shared secret", header, br#"{"order":7}"#, 1_798_769_999));
//! ```

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The name of the header.
pub(crate) const HEADER: &str = "ergate-signature";

/// The header's value for a body sent at this time.
pub(crate) fn sign(secret: &str, unix_seconds: u64, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(unix_seconds.to_string().as_bytes());
    mac.update(b".");
    mac.update(body);
    let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={unix_seconds},v1={hex}")
}
