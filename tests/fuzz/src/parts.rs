//! Inputs of several parts: each but the last has its length, two bytes, before it.

/// Cuts an input into `N` parts; where it is too short, the rest are empty.
pub fn cut<const N: usize>(mut bytes: &[u8]) -> [&[u8]; N] {
    let mut parts = [&[] as &[u8]; N];
    for (index, part) in parts.iter_mut().enumerate() {
        if index + 1 == N {
            *part = bytes;
        } else if let Some((length, rest)) = bytes.split_first_chunk() {
            (*part, bytes) = rest.split_at(usize::from(u16::from_le_bytes(*length)).min(rest.len()));
        }
    }
    parts
}

/// Cuts an input into as many parts as are there.
pub fn cut_all(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut parts = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk() {
        let (part, after) = rest.split_at(usize::from(u16::from_le_bytes(*length)).min(rest.len()));
        parts.push(part);
        bytes = after;
    }
    parts
}

/// Puts parts together, the last one without its length.
pub fn joined(parts: &[&[u8]]) -> Vec<u8> {
    let Some((last, parts)) = parts.split_last() else { return Vec::new() };
    let mut bytes = all(parts);
    bytes.extend_from_slice(last);
    bytes
}

/// Puts parts together, each with its length.
pub fn all(parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in parts {
        bytes.extend(u16::try_from(part.len()).expect("a part of less than 64 KiB").to_le_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}
