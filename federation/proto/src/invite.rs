//! Peering in two commands: the token that one admin hands to the other, the statement that answers it, and the
//! receipt that closes it.
//!
//! The token travels outside the protocol, so what it names (authority, key) is trusted as far as the way it came.
//! Its secret is the proof of the invitation: the inviter keeps only the SHA-256 of it.

use std::{fmt, str::FromStr};

use data_encoding::BASE64URL_NOPAD;
use ed25519_dalek::{Signer, SigningKey};
use qpq_core::{
    Digest, Domain, Entropy, FederationKey, InviteId, Pin, Secret, Timestamp,
    codec::{CodecError, Reader, put_text},
};

use crate::address::FederationAddress;

/// What a token's text begins with.
const PREFIX: &str = "qpqinvite1.";
/// No token is longer, in bytes before base64url.
const TOKEN_BYTES: usize = 1024;
/// No CA certificate is longer, in bytes of DER.
const CERTIFICATE_BYTES: usize = 16 * 1024;

/// Why a token, statement or receipt doesn't count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InviteError {
    /// A token begins with `qpqinvite1.`; this text doesn't, or isn't base64url.
    #[error("this is not a peering token: it begins with `qpqinvite1.`")]
    Form,
    /// Its bytes are damaged: copied in part?
    #[error("the peering token or statement is damaged")]
    Damaged(#[source] CodecError),
    /// Its signature doesn't fit.
    #[error("the signature of the peering token or statement doesn't fit")]
    Signature,
    /// It has expired.
    #[error("the peering token expired at {0}")]
    Expired(Timestamp),
    /// It was made for another domain.
    #[error("the peering token was made for another domain")]
    OtherDomain,
}

impl From<CodecError> for InviteError {
    fn from(error: CodecError) -> Self {
        Self::Damaged(error)
    }
}

/// What the inviter puts into a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InviteTerms {
    /// Who invites.
    pub inviter: Domain,
    /// Where its federation listener is dialled; `None`: where DNS says.
    pub address: Option<FederationAddress>,
    /// The pin of its federation CA.
    pub ca_pin: Pin,
    /// Who may accept; `None`: anybody, and then the inviter's admin confirms the fingerprint.
    pub bound_to: Option<Domain>,
    /// Until when.
    pub expires_at: Timestamp,
}

/// A peering token.
#[derive(Debug, Clone)]
pub struct Invite {
    terms: InviteTerms,
    federation_key: FederationKey,
    id: InviteId,
    secret: Secret<[u8; 32]>,
    signature: [u8; 64],
}

impl Invite {
    /// Draws id and secret and signs the token with the inviter's federation key.
    pub fn issue(terms: InviteTerms, key: &SigningKey, entropy: &mut dyn Entropy) -> Self {
        let mut invite = Self {
            terms,
            federation_key: FederationKey::from_bytes(key.verifying_key().to_bytes()),
            id: InviteId::random(entropy),
            secret: Secret::new(entropy.bytes32()),
            signature: [0; 64],
        };
        invite.signature = key.sign(&signed(b"qpq/invite/v1", &invite.body())).to_bytes();
        invite
    }

    /// What the inviter put in.
    pub const fn terms(&self) -> &InviteTerms {
        &self.terms
    }

    /// The inviter's federation key.
    pub const fn federation_key(&self) -> &FederationKey {
        &self.federation_key
    }

    /// The invite's public name.
    pub const fn id(&self) -> InviteId {
        self.id
    }

    /// What the inviter keeps instead of the secret.
    pub fn secret_digest(&self) -> Digest {
        Digest::of(&[self.secret.expose()])
    }

    /// Whether `domain` may accept it now.
    pub fn check(&self, domain: &Domain, now: Timestamp) -> Result<(), InviteError> {
        if now > self.terms.expires_at {
            return Err(InviteError::Expired(self.terms.expires_at));
        }
        if self.terms.bound_to.as_ref().is_some_and(|bound| bound != domain) || *domain == self.terms.inviter
        {
            return Err(InviteError::OtherDomain);
        }
        Ok(())
    }

    /// The token's bytes; the signature is over `"qpq/invite/v1"` and everything before it:
    ///
    /// | bytes | what |
    /// |---|---|
    /// | 1, n | length, inviter |
    /// | 1, n | length, address `HOST:PORT`; 0 for what DNS says |
    /// | 32 | CA pin |
    /// | 32 | federation key |
    /// | 1, n | length, bound domain; 0 for any |
    /// | 8 | expiry in ms |
    /// | 16 | invite id |
    /// | 32 | secret |
    /// | 64 | signature |
    pub fn to_bytes(&self) -> Vec<u8> {
        [self.body().as_slice(), &self.signature].concat()
    }

    fn body(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_text(&mut out, self.terms.inviter.as_str());
        put_address(&mut out, self.terms.address.as_ref());
        out.extend_from_slice(self.terms.ca_pin.digest().as_bytes());
        out.extend_from_slice(self.federation_key.as_bytes());
        put_text(&mut out, self.terms.bound_to.as_ref().map_or("", Domain::as_str));
        out.extend_from_slice(&self.terms.expires_at.as_millis().to_be_bytes());
        out.extend_from_slice(self.id.as_bytes());
        out.extend_from_slice(self.secret.expose());
        out
    }

    /// Reads a token's bytes; strict, signature included.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InviteError> {
        if bytes.len() > TOKEN_BYTES {
            return Err(CodecError::TooLarge("the token").into());
        }
        let mut reader = Reader::new(bytes);
        let inviter = reader.domain("the inviter")?;
        let address = address(&mut reader)?;
        let ca_pin = Pin::from_digest(Digest::from_bytes(reader.array()?));
        let federation_key = FederationKey::from_bytes(reader.array()?);
        let bound_to = reader.optional_domain("the bound domain")?;
        let expires_at = Timestamp::from_millis(reader.u64()?);
        let id = InviteId::from_bytes(reader.array()?);
        let secret = Secret::new(reader.array()?);
        let signature = reader.array()?;
        reader.finish()?;
        let terms = InviteTerms { inviter, address, ca_pin, bound_to, expires_at };
        let invite = Self { terms, federation_key, id, secret, signature };
        if !federation_key.verifies(&signed(b"qpq/invite/v1", &invite.body()), &signature) {
            return Err(InviteError::Signature);
        }
        Ok(invite)
    }

    /// The text that the inviter's admin passes on. It holds the secret, so there is no `Display`.
    pub fn to_token(&self) -> String {
        format!("{PREFIX}{}", BASE64URL_NOPAD.encode(&self.to_bytes()))
    }
}

impl FromStr for Invite {
    type Err = InviteError;

    fn from_str(text: &str) -> Result<Self, InviteError> {
        let encoded = text.trim().strip_prefix(PREFIX).ok_or(InviteError::Form)?;
        if encoded.len() > 2 * TOKEN_BYTES {
            return Err(CodecError::TooLarge("the token").into());
        }
        Self::from_bytes(&BASE64URL_NOPAD.decode(encoded.as_bytes()).map_err(|_| InviteError::Form)?)
    }
}

/// What the accepting side sends, signed by its federation key.
#[derive(Clone)]
pub struct AcceptStatement {
    /// Whose invite is accepted.
    pub inviter: Domain,
    /// Who accepts.
    pub accepter: Domain,
    /// Where the accepter's federation listener is dialled; `None`: where DNS says.
    pub address: Option<FederationAddress>,
    /// The accepter's federation key.
    pub federation_key: FederationKey,
    /// The accepter's federation CA, DER.
    pub ca_certificate: Vec<u8>,
    secret: Secret<[u8; 32]>,
    signature: [u8; 64],
}

impl AcceptStatement {
    /// Answers a token.
    pub fn sign(
        invite: &Invite,
        accepter: Domain,
        address: Option<FederationAddress>,
        ca_certificate: Vec<u8>,
        key: &SigningKey,
    ) -> Self {
        let mut statement = Self {
            inviter: invite.terms.inviter.clone(),
            accepter,
            address,
            federation_key: FederationKey::from_bytes(key.verifying_key().to_bytes()),
            ca_certificate,
            secret: invite.secret.clone(),
            signature: [0; 64],
        };
        statement.signature = key.sign(&signed(b"qpq/accept/v1", &statement.body())).to_bytes();
        statement
    }

    /// What finds the invite at its inviter.
    pub fn secret_digest(&self) -> Digest {
        Digest::of(&[self.secret.expose()])
    }

    /// The statement's bytes; the signature is over `"qpq/accept/v1"` and everything before it:
    ///
    /// | bytes | what |
    /// |---|---|
    /// | 1, n | length, inviter |
    /// | 1, n | length, accepter |
    /// | 1, n | length, address `HOST:PORT`; 0 for what DNS says |
    /// | 32 | federation key |
    /// | 32 | secret |
    /// | 2, n | length, CA certificate (DER, at most 16 KiB) |
    /// | 64 | signature |
    pub fn to_bytes(&self) -> Vec<u8> {
        [self.body().as_slice(), &self.signature].concat()
    }

    fn body(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_text(&mut out, self.inviter.as_str());
        put_text(&mut out, self.accepter.as_str());
        put_address(&mut out, self.address.as_ref());
        out.extend_from_slice(self.federation_key.as_bytes());
        out.extend_from_slice(self.secret.expose());
        put_certificate(&mut out, &self.ca_certificate);
        out
    }

    /// Reads a statement for `us`; strict, signature included. That the link's certificate names the same domain
    /// under the same authority is for the caller to check.
    pub fn from_bytes(bytes: &[u8], us: &Domain) -> Result<Self, InviteError> {
        let mut reader = Reader::new(bytes);
        let inviter = reader.domain("the inviter")?;
        let accepter = reader.domain("the accepter")?;
        let address = address(&mut reader)?;
        let federation_key = FederationKey::from_bytes(reader.array()?);
        let secret = Secret::new(reader.array()?);
        let ca_certificate = certificate(&mut reader)?;
        let signature = reader.array()?;
        reader.finish()?;
        let statement =
            Self { inviter, accepter, address, federation_key, ca_certificate, secret, signature };
        if !federation_key.verifies(&signed(b"qpq/accept/v1", &statement.body()), &signature) {
            return Err(InviteError::Signature);
        }
        if statement.inviter != *us || statement.accepter == *us {
            return Err(InviteError::OtherDomain);
        }
        Ok(statement)
    }
}

impl fmt::Debug for AcceptStatement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AcceptStatement")
            .field("inviter", &self.inviter)
            .field("accepter", &self.accepter)
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// How the inviter took the statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acceptance {
    /// Both are peers now (1).
    Peered,
    /// The invite was for anybody: the inviter's admin confirms first (2).
    AwaitingConfirmation,
}

/// What the inviter answers, signed by its federation key; the same bytes for a repeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptReceipt {
    /// How it was taken.
    pub acceptance: Acceptance,
    /// The inviter's federation CA, DER; its pin is in the token.
    pub ca_certificate: Vec<u8>,
}

impl AcceptReceipt {
    /// The receipt's bytes: acceptance u8, CA certificate behind a u16 length, signature over
    /// `"qpq/accepted/v1" ‖ SHA-256(statement) ‖` what precedes it.
    pub fn sign(&self, statement: &AcceptStatement, key: &SigningKey) -> Vec<u8> {
        let mut out = vec![match self.acceptance {
            Acceptance::Peered => 1,
            Acceptance::AwaitingConfirmation => 2,
        }];
        put_certificate(&mut out, &self.ca_certificate);
        let signature = key.sign(&receipt_bytes(statement, &out)).to_bytes();
        out.extend_from_slice(&signature);
        out
    }

    /// Reads the receipt for a statement that was sent under `invite`.
    pub fn from_bytes(
        bytes: &[u8],
        statement: &AcceptStatement,
        invite: &Invite,
    ) -> Result<Self, InviteError> {
        let mut reader = Reader::new(bytes);
        let acceptance = match reader.u8()? {
            1 => Acceptance::Peered,
            2 => Acceptance::AwaitingConfirmation,
            _ => return Err(CodecError::Invalid("the acceptance").into()),
        };
        let ca_certificate = certificate(&mut reader)?;
        let signature = reader.array::<64>()?;
        reader.finish()?;
        let body = bytes.get(..bytes.len().saturating_sub(64)).unwrap_or(bytes);
        if !invite.federation_key.verifies(&receipt_bytes(statement, body), &signature) {
            return Err(InviteError::Signature);
        }
        Ok(Self { acceptance, ca_certificate })
    }
}

fn receipt_bytes(statement: &AcceptStatement, body: &[u8]) -> Vec<u8> {
    let statement = Digest::of(&[&statement.to_bytes()]);
    signed(b"qpq/accepted/v1", &[statement.as_bytes(), body].concat())
}

fn signed(label: &[u8], body: &[u8]) -> Vec<u8> {
    [label, body].concat()
}

fn put_address(out: &mut Vec<u8>, address: Option<&FederationAddress>) {
    put_text(out, &address.map(ToString::to_string).unwrap_or_default());
}

fn address(reader: &mut Reader<'_>) -> Result<Option<FederationAddress>, CodecError> {
    let text = reader.text("the address")?;
    if text.is_empty() {
        return Ok(None);
    }
    let address: FederationAddress = text.parse().map_err(|_| CodecError::Invalid("the address"))?;
    if address.to_string() == text { Ok(Some(address)) } else { Err(CodecError::Invalid("the address")) }
}

fn certificate(reader: &mut Reader<'_>) -> Result<Vec<u8>, CodecError> {
    let length = usize::from(reader.u16()?);
    if length == 0 || length > CERTIFICATE_BYTES {
        return Err(CodecError::TooLarge("the CA certificate"));
    }
    reader.take(length).map(<[u8]>::to_vec)
}

fn put_certificate(out: &mut Vec<u8>, der: &[u8]) {
    // One that is too long is written as none, which no reader accepts.
    let der = if der.len() > CERTIFICATE_BYTES { &[] } else { der };
    out.extend_from_slice(&u16::try_from(der.len()).unwrap_or(0).to_be_bytes());
    out.extend_from_slice(der);
}

#[cfg(test)]
mod tests;
