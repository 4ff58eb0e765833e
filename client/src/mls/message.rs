//! Application messages: out and in.

use openmls::{
    framing::errors::MessageDecryptionError,
    group::{ProcessMessageError, ValidationError},
    prelude::{
        MlsMessageBodyIn, MlsMessageIn, ProcessedMessageContent, ProtocolMessage, tls_codec::Deserialize as _,
    },
};
use qpq_core::DeviceAddress;

use super::{
    Content, ContentError, Device, Group, MlsError,
    group::{device_of, mls_id},
};

/// What an application message from the log turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// Readable.
    Content {
        /// Which device sent it.
        sender: DeviceAddress,
        /// The epoch it was encrypted in.
        epoch: u64,
        /// What it says.
        content: Content,
    },
    /// Authentic, but its content has no layout that this version knows.
    Unreadable {
        /// Which device sent it.
        sender: DeviceAddress,
        /// The epoch it was encrypted in.
        epoch: u64,
        /// What is wrong with it.
        why: ContentError,
    },
    /// This device's own message, which it can't decrypt and need not.
    Own,
    /// Decrypted before: its key is used up.
    AlreadyProcessed,
    /// Encrypted in an epoch that this device has not reached: page the log first.
    NotYet {
        /// The epoch of this device.
        current: u64,
        /// The message's.
        needed: u64,
    },
    /// Encrypted in an epoch whose keys are gone, or from before this device joined.
    TooOld {
        /// The message's epoch.
        epoch: u64,
    },
    /// Not decipherable: damaged, forged, or for another group.
    Refused(String),
}

impl Group {
    /// Encrypts a content as a serialised `MLSMessage` of wire format `mls_private_message`, in the current epoch.
    ///
    /// Persist the group before the message leaves.
    pub fn encrypt(&mut self, device: &Device, content: &Content) -> Result<Vec<u8>, MlsError> {
        if !self.is_active() {
            return Err(MlsError::Removed);
        }
        self.mls
            .create_message(&self.provider, device, &content.encode()?)
            .map_err(MlsError::engine("encrypt the message"))?
            .to_bytes()
            .map_err(MlsError::engine("serialise the message"))
    }

    /// Decrypts an application message from the log.
    pub fn decrypt(&mut self, message: &[u8]) -> Result<Received, MlsError> {
        let message = match MlsMessageIn::tls_deserialize_exact(message).map(MlsMessageIn::extract) {
            Ok(MlsMessageBodyIn::PrivateMessage(message)) => ProtocolMessage::PrivateMessage(message),
            Ok(_) => return Ok(Received::Refused("it is no private message".to_owned())),
            Err(error) => return Ok(Received::Refused(error.to_string())),
        };
        if *message.group_id() != mls_id(&self.id) {
            return Ok(Received::Refused("it belongs to another group".to_owned()));
        }
        if message.is_handshake_message() {
            // Decrypting would use up a key of the ratchet for nothing: handshakes are public here.
            return Ok(Received::Refused("it is an encrypted handshake".to_owned()));
        }
        if !self.is_active() {
            return Err(MlsError::Removed);
        }
        let (current, epoch) = (self.epoch(), message.epoch().as_u64());
        if epoch > current {
            return Ok(Received::NotYet { current, needed: epoch });
        }
        let processed = match self.mls.process_message(&self.provider, message) {
            Ok(processed) => processed,
            Err(error) => return Ok(refused(&error, epoch)),
        };
        let sender = device_of(processed.credential());
        let content = match processed.into_content() {
            ProcessedMessageContent::ApplicationMessage(message) => message.into_bytes(),
            ProcessedMessageContent::OwnPrivateMessage => return Ok(Received::Own),
            _ => return Ok(Received::Refused("it is no application message".to_owned())),
        };
        let Some(sender) = sender else {
            return Ok(Received::Refused("its sender is no device".to_owned()));
        };
        Ok(match Content::decode(&content) {
            Ok(content) => Received::Content { sender, epoch, content },
            Err(why) => Received::Unreadable { sender, epoch, why },
        })
    }
}

/// Sorts OpenMLS' reasons into those that callers expect.
fn refused<E: std::fmt::Display>(error: &ProcessMessageError<E>, epoch: u64) -> Received {
    match error {
        ProcessMessageError::ValidationError(ValidationError::NoPastEpochData) => Received::TooOld { epoch },
        ProcessMessageError::ValidationError(ValidationError::UnableToDecrypt(
            MessageDecryptionError::SecretTreeError(reason),
        )) => {
            // OpenMLS keeps the type of this reason private; its names are pinned by tests here.
            match format!("{reason:?}").as_str() {
                "SecretReuseError" => Received::AlreadyProcessed,
                "TooDistantInThePast" => Received::TooOld { epoch },
                _ => Received::Refused(reason.to_string()),
            }
        }
        other => Received::Refused(other.to_string()),
    }
}
