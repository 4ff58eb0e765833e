//! The signed header of a relay call: one Ed25519 signature by the origin's federation key over all its batches.
//!
//! Mutual TLS proves the hop; this signature stays provable afterwards. The receiver keeps the last header of
//! each stream, and a header of ours that our own database doesn't hold would prove that *we* were rolled back.

use ed25519_dalek::{Signer, SigningKey};
use qpq_core::{
    Digest, Domain, FederationKey, Incarnation, Seq,
    codec::{CodecError, Reader, put_text},
    limits,
};

use crate::stream::{Batch, StreamId};

const LABEL: &[u8] = b"qpq/relay/v1";

/// One stream's line in a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchDigest {
    /// Which stream.
    pub stream: StreamId,
    /// The first row's number.
    pub first: Seq,
    /// The last row's number.
    pub last: Seq,
    /// SHA-256 of the batch's body ([`Batch::to_body`]).
    pub body: Digest,
    /// The chain after the last row, where the sender knows it: a header then shows which rows its sender had
    /// numbered, and not only how many.
    pub chain: Option<Digest>,
}

impl BatchDigest {
    /// The line of a batch.
    pub fn of(batch: &Batch) -> Self {
        Self::of_body(batch, &batch.to_body())
    }

    /// The same, with the body at hand.
    pub fn of_body(batch: &Batch, body: &[u8]) -> Self {
        Self {
            stream: batch.stream(),
            first: batch.first(),
            last: batch.last(),
            body: Digest::of(&[body]),
            chain: batch.chain_after(),
        }
    }
}

/// A header with its signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedHeader {
    origin: Domain,
    destination: Domain,
    incarnation: Incarnation,
    batches: Vec<BatchDigest>,
    signature: [u8; 64],
}

/// Why a call's batches don't count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// No batches, more than 256, or one stream twice.
    #[error("a relay call carries 1 to 256 batches of different streams")]
    Batches,
    /// The header names another origin than the link's.
    #[error("the header names another origin than the link")]
    Origin,
    /// The header is made for another domain.
    #[error("the header is addressed to another domain")]
    Destination,
    /// The batches of the call are not those of the header.
    #[error("the batches are not those that the header names")]
    Mismatch,
    /// The signature is not the origin's federation key's.
    #[error("the header isn't signed by the origin's federation key")]
    Signature,
}

impl SignedHeader {
    /// Signs a call's batches.
    pub fn sign(
        key: &SigningKey,
        origin: Domain,
        destination: Domain,
        incarnation: Incarnation,
        batches: Vec<BatchDigest>,
    ) -> Result<Self, HeaderError> {
        let mut header = Self::from_parts(origin, destination, incarnation, batches, [0; 64])?;
        header.signature = key.sign(&header.signed_bytes()).to_bytes();
        Ok(header)
    }

    /// Puts a header together that came from the wire; its signature is still to be checked.
    pub fn from_parts(
        origin: Domain,
        destination: Domain,
        incarnation: Incarnation,
        batches: Vec<BatchDigest>,
        signature: [u8; 64],
    ) -> Result<Self, HeaderError> {
        let distinct: std::collections::BTreeSet<_> = batches.iter().map(|batch| batch.stream).collect();
        if batches.is_empty() || batches.len() > limits::RELAY_STREAMS || distinct.len() != batches.len() {
            return Err(HeaderError::Batches);
        }
        Ok(Self { origin, destination, incarnation, batches, signature })
    }

    /// What is signed:
    ///
    /// | bytes | what |
    /// |---|---|
    /// | 12 | `"qpq/relay/v1"` |
    /// | 1, n | length, origin |
    /// | 1, n | length, destination |
    /// | 16 | incarnation |
    /// | 32 | SHA-256 over the list: for each batch stream\[16\], first u64, last u64, SHA-256(body), chain after the last row\[32\] (zeros: unknown) |
    pub fn signed_bytes(&self) -> Vec<u8> {
        let list: Vec<u8> = self.batches.iter().flat_map(line).collect();
        let mut out = LABEL.to_vec();
        put_text(&mut out, self.origin.as_str());
        put_text(&mut out, self.destination.as_str());
        out.extend_from_slice(&self.incarnation.to_bytes());
        out.extend_from_slice(Digest::of(&[&list]).as_bytes());
        out
    }

    /// Checks that the header is for us, comes from the link's domain, names exactly these batches, and is signed
    /// by that domain's federation key.
    pub fn verify(
        &self,
        link: &Domain,
        us: &Domain,
        key: &FederationKey,
        batches: &[BatchDigest],
    ) -> Result<(), HeaderError> {
        if self.origin != *link {
            return Err(HeaderError::Origin);
        }
        if self.destination != *us {
            return Err(HeaderError::Destination);
        }
        if self.batches != batches {
            return Err(HeaderError::Mismatch);
        }
        if !key.verifies(&self.signed_bytes(), &self.signature) {
            return Err(HeaderError::Signature);
        }
        Ok(())
    }

    /// Who sent it.
    pub const fn origin(&self) -> &Domain {
        &self.origin
    }

    /// For whom.
    pub const fn destination(&self) -> &Domain {
        &self.destination
    }

    /// The life of the origin's database that numbered the rows.
    pub const fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// The batches' lines.
    pub fn batches(&self) -> &[BatchDigest] {
        &self.batches
    }

    /// The signature.
    pub const fn signature(&self) -> &[u8; 64] {
        &self.signature
    }

    /// The stored form: origin, destination (each behind a length byte), incarnation, u16 count, the lines,
    /// signature.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_text(&mut out, self.origin.as_str());
        put_text(&mut out, self.destination.as_str());
        out.extend_from_slice(&self.incarnation.to_bytes());
        out.extend_from_slice(&u16::try_from(self.batches.len()).unwrap_or(u16::MAX).to_be_bytes());
        out.extend(self.batches.iter().flat_map(line));
        out.extend_from_slice(&self.signature);
        out
    }

    /// Reads the stored form.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut reader = Reader::new(bytes);
        let origin = reader.domain("the origin")?;
        let destination = reader.domain("the destination")?;
        let incarnation = Incarnation::from_slice(&reader.array::<16>()?).ok_or(CodecError::Truncated)?;
        let count = reader.u16()?;
        if usize::from(count) > limits::RELAY_STREAMS {
            return Err(CodecError::TooLarge("the number of batches"));
        }
        let mut batches = Vec::with_capacity(usize::from(count));
        for _ in 0..count {
            batches.push(BatchDigest {
                stream: StreamId::from_bytes(reader.array()?),
                first: Seq(reader.u64()?),
                last: Seq(reader.u64()?),
                body: Digest::from_bytes(reader.array()?),
                chain: Some(Digest::from_bytes(reader.array()?)).filter(|chain| *chain != Digest::ZERO),
            });
        }
        let signature = reader.array()?;
        reader.finish()?;
        Self::from_parts(origin, destination, incarnation, batches, signature)
            .map_err(|_| CodecError::Invalid("the list of batches"))
    }
}

fn line(batch: &BatchDigest) -> Vec<u8> {
    [
        batch.stream.as_bytes().as_slice(),
        &batch.first.0.to_be_bytes(),
        &batch.last.0.to_be_bytes(),
        batch.body.as_bytes(),
        batch.chain.unwrap_or(Digest::ZERO).as_bytes(),
    ]
    .concat()
}

#[cfg(test)]
mod tests;
