//! Just enough of the Redis protocol (RESP2 and RESP3) to see where a request or a reply ends.

/// Length of the first whole value in `bytes`, or `None` if it has not all arrived.
pub fn frame(bytes: &[u8]) -> Option<usize> {
    let line = line(bytes)?;
    let number = || std::str::from_utf8(&bytes[1..line - 2]).ok()?.parse::<i64>().ok();
    match bytes[0] {
        b'$' | b'!' | b'=' => match usize::try_from(number()?) {
            Ok(length) => Some(line + length + 2).filter(|end| *end <= bytes.len()),
            Err(_) => Some(line),
        },
        b'*' | b'~' | b'>' => items(bytes, line, number()?),
        b'%' => items(bytes, line, number()?.checked_mul(2)?),
        // Attributes are a map and then the value they speak of.
        b'|' => items(bytes, line, number()?.checked_mul(2)?.checked_add(1)?),
        _ => Some(line),
    }
}

/// The arguments of a request, the command's name first. Clients send arrays of bulk strings and nothing else.
pub fn arguments(request: &[u8]) -> Vec<&[u8]> {
    let mut arguments = Vec::new();
    let mut at = line(request).unwrap_or(request.len());
    while let (Some(head), Some(length)) = (line(&request[at..]), frame(&request[at..])) {
        arguments.push(&request[at + head..at + length - 2]);
        at += length;
    }
    arguments
}

/// Whether a whole value is a push message, which answers no request.
pub fn is_push(reply: &[u8]) -> bool {
    reply.first() == Some(&b'>')
}

/// Whether a reply says that the script is not loaded, so nothing was done and the client will ask again.
pub fn is_noscript(reply: &[u8]) -> bool {
    reply.starts_with(b"-NOSCRIPT")
}

fn items(bytes: &[u8], line: usize, count: i64) -> Option<usize> {
    let mut end = line;
    for _ in 0..count {
        end += frame(&bytes[end..])?;
    }
    Some(end)
}

fn line(bytes: &[u8]) -> Option<usize> {
    bytes.windows(2).position(|pair| pair == b"\r\n").map(|at| at + 2)
}
