//! `keys export-proof`: what a log proves of somebody's keys, as a file for others (C2SP tlog-proof).

use qpq_core::Address;
use qpq_transparency_tree::{
    binding_record::BindingRecord, label::Label, proof_file::ProofFile, value::SignedValue,
};

use crate::{Client, ClientError, wire::UserKeys};

/// A proof of an account's newest version, verified here before it is handed out.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ExportedProof {
    /// Whose keys.
    pub address: Address,
    /// Which version of them.
    pub version: u32,
    /// Its place in the log.
    pub index: u64,
    /// How many entries the log has.
    pub size: u64,
    /// The log's key as this client has it pinned; whoever checks the file should have it from the domain itself.
    pub log_key: String,
    /// The file's text; its extra data is a [`BindingRecord`].
    pub proof: String,
}

impl Client {
    /// Asks the log for the account's newest version, verifies the answer, pins it, and writes its proof down.
    pub async fn keys_export_proof(&self, address: &Address) -> Result<ExportedProof, ClientError> {
        let (asked, keys) = self.keys_now(address).await?;
        match self.judge(&asked, &[(address.clone(), &keys)]).await {
            // The log proves the new key as well, and a change that nobody accepted is worth showing to others.
            Ok(()) | Err(ClientError::IdentityChanged { .. }) => written(address, keys),
            Err(error) => Err(error),
        }
    }
}

fn written(address: &Address, keys: UserKeys) -> Result<ExportedProof, ClientError> {
    let nothing = || ClientError::NotLogged { address: address.clone() };
    let told = keys.lookup.ok_or_else(nothing)?;
    let latest = told.answer.latest.ok_or_else(nothing)?;
    let (opening, value) = latest.contents.ok_or_else(nothing)?;
    let record = BindingRecord {
        entry: latest.entry,
        opening,
        vrf_proof: told.answer.vrf_proof,
        label: Label::of(address),
        value: SignedValue::from_bytes(&value).map_err(ClientError::protocol)?,
    };
    let checkpoint = told.answer.evidence.checkpoint;
    let file = ProofFile {
        extra: Some(record.to_bytes()),
        index: latest.index,
        inclusion: latest.inclusion,
        checkpoint,
    };
    Ok(ExportedProof {
        address: address.clone(),
        version: latest.entry.version,
        index: latest.index,
        size: file.checkpoint.head().size,
        log_key: told.log_key.to_string(),
        proof: file.to_string(),
    })
}
