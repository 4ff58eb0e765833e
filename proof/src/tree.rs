//! Messages as leaves: what of a message is hashed, and where it is in the tree.

use qpq_core::{Digest, Domain, MessageId, codec::put_text};
use qpq_transparency_tree::{inclusion_paths, leaf_hash};

/// No statement covers more messages.
pub const MOST_LEAVES: usize = 1 << 16;

/// What a proof says of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The id that its sender submitted it with.
    pub id: MessageId,
    /// SHA-256 of the ciphertext, as it was submitted.
    pub ciphertext: Digest,
    /// Where it went: for an accepted message the domain that orders its group, for a stored one the domain that stored it.
    pub recipient: Domain,
}

/// Where a message is in the tree of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The number of its leaf.
    pub index: u32,
    /// The hashes beside its way to the root, the lowest first.
    pub path: Vec<Digest>,
}

/// The longest path: that of a tree of [`MOST_LEAVES`].
const LONGEST_PATH: usize = 16;

impl Place {
    /// The path as bytes, the lowest hash first.
    pub fn path_bytes(&self) -> Vec<u8> {
        self.path.iter().flat_map(|hash| *hash.as_bytes()).collect()
    }

    /// Reads it again; `None`: it is no list of hashes, or too long for any tree.
    pub fn from_bytes(index: u32, path: &[u8]) -> Option<Self> {
        let (hashes, rest) = path.as_chunks::<32>();
        let path = hashes.iter().map(|hash| Digest::from_bytes(*hash)).collect();
        (rest.is_empty() && hashes.len() <= LONGEST_PATH).then_some(Self { index, path })
    }
}

impl Message {
    /// The hash of its leaf, whose data is id\[16\] ‖ SHA-256 of the ciphertext\[32\] ‖ length u8 ‖ recipient.
    pub(crate) fn leaf(&self) -> Digest {
        let mut data = self.id.as_bytes().to_vec();
        data.extend_from_slice(self.ciphertext.as_bytes());
        put_text(&mut data, self.recipient.as_str());
        leaf_hash(&data)
    }
}

/// The root over messages, and each one's place. Beyond [`MOST_LEAVES`] messages are left out, and have no place.
pub(crate) fn plant(messages: &[Message]) -> (u32, Digest, Vec<Place>) {
    let leaves: Vec<Digest> = messages.iter().take(MOST_LEAVES).map(Message::leaf).collect();
    let (root, paths) = inclusion_paths(&leaves);
    let places = (0_u32..).zip(paths).map(|(index, path)| Place { index, path }).collect();
    (u32::try_from(leaves.len()).unwrap_or(u32::MAX), root, places)
}
