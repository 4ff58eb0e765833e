//! A well-formed `PrivateMessage` around bytes that nobody can decrypt (RFC 9420, sections 6 and 6.3).

use qpq_core::{Entropy, GroupId};

const MLS_1_0: u16 = 1;
const PRIVATE_MESSAGE: u16 = 2;
const APPLICATION: u8 = 1;
/// Leaf, generation and reuse guard, and a tag.
const SENDER_DATA: usize = 28;

/// A message for a group, with `payload` random bytes where the ciphertext belongs.
pub fn message(group: &GroupId, epoch: u64, payload: usize, entropy: &mut dyn Entropy) -> Vec<u8> {
    let mut message = Vec::with_capacity(payload + 128);
    message.extend(MLS_1_0.to_be_bytes());
    message.extend(PRIVATE_MESSAGE.to_be_bytes());
    vector(&mut message, &group.to_bytes());
    message.extend(epoch.to_be_bytes());
    message.push(APPLICATION);
    vector(&mut message, &[]);
    for length in [SENDER_DATA, payload] {
        let mut bytes = vec![0; length];
        entropy.fill(&mut bytes);
        vector(&mut message, &bytes);
    }
    message
}

/// A vector behind its length (RFC 9420, section 2.1.2); ours are far below its limit of 2^30 bytes.
fn vector(message: &mut Vec<u8>, bytes: &[u8]) {
    match (u8::try_from(bytes.len()), u16::try_from(bytes.len()), u32::try_from(bytes.len())) {
        (Ok(length @ ..0x40), ..) => message.push(length),
        (_, Ok(length @ ..0x4000), _) => message.extend((length | 0x4000).to_be_bytes()),
        (_, _, length) => message.extend((length.unwrap_or(u32::MAX >> 2) | 0x8000_0000).to_be_bytes()),
    }
    message.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::vector;

    #[test]
    fn lengths_take_one_two_or_four_bytes() {
        for (length, head) in [
            (0, vec![0]),
            (63, vec![63]),
            (64, vec![0x40, 64]),
            (1_024, vec![0x44, 0]),
            (16_384, vec![0x80, 0, 0x40, 0]),
        ] {
            let mut message = Vec::new();
            vector(&mut message, &vec![1; length]);
            assert_eq!(message.get(..head.len()), Some(head.as_slice()));
            assert_eq!(message.len(), head.len() + length);
        }
    }
}
