//! Random names that cannot be guessed: tokens and statement handles.

use rand::TryRngCore;
use rand::rngs::OsRng;

use crate::error::TransportError;

/// Draws `N` bytes from the operating system.
pub(crate) fn random_bytes<const N: usize>() -> Result<[u8; N], TransportError> {
    let mut bytes = [0; N];
    OsRng.try_fill_bytes(&mut bytes).map_err(|_| TransportError::Random)?;
    Ok(bytes)
}

/// Draws 256 bits and writes them as 64 hexadecimal digits.
pub(crate) fn random_name() -> Result<String, TransportError> {
    let bytes: [u8; 32] = random_bytes()?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
