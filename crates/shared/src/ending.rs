//! How a job's end is kept: a mark, the time in nine digits to the base 36, and the result, the reason or the failure.
//!
//! Short, so that an end without a result fits Redis' smallest allocation; `lua/lib/finish.lua` writes and reads it too.

/// Marks a completed job.
pub const COMPLETED: u8 = b'c';
/// Marks a cancelled job.
pub const CANCELLED: u8 = b'x';
/// Marks a dead letter, where an end is told to others.
pub const DEAD: u8 = b'd';

const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
const PLACES: usize = 9;

/// Writes an end into `buffer`, over what was there.
pub fn write<'a>(buffer: &'a mut Vec<u8>, mark: u8, at_ms: u64, result: &[u8]) -> &'a [u8] {
    buffer.clear();
    buffer.push(mark);
    let mut digits = [b'0'; PLACES];
    let mut rest = at_ms;
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS[(rest % 36) as usize];
        rest /= 36;
    }
    buffer.extend(digits);
    buffer.extend(result);
    buffer
}

/// Reads the time, in ms since the epoch, and the result; the time is 0 if it cannot be read.
pub fn read(end: &str) -> (u64, &str) {
    let at = end.get(1..=PLACES).and_then(|digits| u64::from_str_radix(digits, 36).ok()).unwrap_or(0);
    (at, end.get(1 + PLACES..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        let mut buffer = Vec::new();
        for at in [0, 1, 1_795_310_003_547, u64::from(u32::MAX) * 1000] {
            let end = String::from_utf8(write(&mut buffer, COMPLETED, at, b"{}").to_vec()).unwrap();
            assert_eq!(read(&end), (at, "{}"));
        }
    }
}
