//! What domains have signed about messages of this device.

use qpq_core::{Digest, Domain, MessageId, Pin};
use qpq_proof::{Place, SignedStatement};
use sqlx::sqlite::SqliteRow;

use super::{
    StoreError, Tx,
    row::{Columns, failed},
};

/// One domain's signed word about one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredProof {
    /// Where the message went.
    pub recipient: Domain,
    /// What is signed.
    pub signed: SignedStatement,
    /// Where the message is in the statement's tree.
    pub place: Place,
    /// The pin of the signing domain's CA.
    pub pin: Option<Pin>,
}

impl Tx<'_> {
    /// SHA-256 of the ciphertext that a message went out with last; `None`: it is not one of this device, or was never
    /// encrypted.
    pub async fn ciphertext_of(&mut self, id: &MessageId) -> Result<Option<Digest>, StoreError> {
        let row = sqlx::query("SELECT ciphertext_sha256 FROM outgoing WHERE id = ?")
            .bind(id.as_bytes().as_slice())
            .fetch_optional(self.sql())
            .await
            .map_err(failed("read what a message went out with"))?;
        let Some(row) = row else { return Ok(None) };
        let columns = Columns { table: "outgoing", row: &row };
        match columns.take::<Option<&[u8]>>("ciphertext_sha256")? {
            Some(_) => Ok(Some(Digest::from_bytes(columns.bytes("ciphertext_sha256")?))),
            None => Ok(None),
        }
    }

    /// Keeps a proof; of each domain and role the first about a ciphertext stays.
    pub async fn keep_proof(
        &mut self,
        id: &MessageId,
        ciphertext: &Digest,
        proof: &StoredProof,
    ) -> Result<(), StoreError> {
        let statement = proof.signed.statement();
        sqlx::query(
            "INSERT INTO proofs (message, ciphertext, role, domain, recipient, statement, signature, leaf, path, pin)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT (message, ciphertext, role, domain) DO NOTHING",
        )
        .bind(id.as_bytes().as_slice())
        .bind(ciphertext.as_bytes().as_slice())
        .bind(statement.terms.role.number())
        .bind(statement.terms.domain.as_str())
        .bind(proof.recipient.as_str())
        .bind(statement.to_bytes())
        .bind(proof.signed.signature().as_slice())
        .bind(proof.place.index)
        .bind(proof.place.path_bytes())
        .bind(proof.pin.map(|pin| pin.digest().as_bytes().to_vec()))
        .execute(self.sql())
        .await
        .map_err(failed("keep a proof"))?;
        Ok(())
    }

    /// The proofs about a message with this ciphertext: what was accepted first, then what was stored, by domain.
    pub async fn proofs(
        &mut self,
        id: &MessageId,
        ciphertext: &Digest,
    ) -> Result<Vec<StoredProof>, StoreError> {
        let rows =
            sqlx::query("SELECT * FROM proofs WHERE message = ? AND ciphertext = ? ORDER BY role, domain")
                .bind(id.as_bytes().as_slice())
                .bind(ciphertext.as_bytes().as_slice())
                .fetch_all(self.sql())
                .await
                .map_err(failed("read proofs"))?;
        rows.iter().map(read_proof).collect()
    }
}

fn read_proof(row: &SqliteRow) -> Result<StoredProof, StoreError> {
    let columns = Columns { table: "proofs", row };
    let signed = SignedStatement::from_parts(columns.take("statement")?, columns.bytes("signature")?)
        .map_err(|_| columns.damaged("statement"))?;
    let place = Place::from_bytes(columns.small("leaf")?, columns.take("path")?);
    let pin = match columns.take::<Option<&[u8]>>("pin")? {
        Some(_) => Some(Pin::from_digest(Digest::from_bytes(columns.bytes("pin")?))),
        None => None,
    };
    Ok(StoredProof {
        recipient: columns.text("recipient")?,
        signed,
        place: place.ok_or_else(|| columns.damaged("path"))?,
        pin,
    })
}
