//! Makes this domain the hub of a new group whose only member is the caller's device.

use async_trait::async_trait;
use qpq_core::{DeviceAddress, ErrorCode, GroupId, Seq};
use qpq_hub::{Chunk, Created};
use qpq_storage::{Group, Member, StateChunk, Stored, WriteTx};

use super::{Groups, not_member};
use crate::{Answered, Refusal, SessionHandle, WriteJob};

impl Groups {
    /// Makes a group at epoch 0. A repeat by the creator gets the same answer, whatever has happened since.
    pub async fn create(
        &self,
        session: &SessionHandle,
        group: &GroupId,
        group_info: Vec<u8>,
        ratchet_tree: &[u8],
    ) -> Answered<Seq> {
        let now = self.ground().now();
        session.check(now)?;
        if !self.is_hub_of(group) || group.term() != 1 {
            let text =
                format!("`{}` orders only groups whose id names it, in term 1", self.ground().domain());
            return Err(Refusal::new(ErrorCode::NotAllowed, text));
        }
        self.admit(session, now)?;
        let device = session.device();
        let created = self.0.engine.create_group(group, &group_info, ratchet_tree);
        let created = created.map_err(|error| Refusal::malformed(error.to_string()))?;
        self.check_creator(device, &created).await?;
        let job = CreateGroup {
            group: Group {
                id: group.clone(),
                epoch: 0,
                last_seq: Seq::ZERO,
                application_count: 0,
                accounts: 1,
                created_at: now,
            },
            creator: device.clone(),
            state: stored_chunks(created.state),
            group_info,
        };
        match self.ground().write(job).await? {
            Outcome::Created | Outcome::Repeated => Ok(Seq::ZERO),
            Outcome::Exists => {
                Err(Refusal::new(ErrorCode::GroupExists, format!("the group {group} exists already")))
            }
        }
    }

    async fn check_creator(&self, device: &DeviceAddress, created: &Created) -> Answered<()> {
        let mut tx = self.ground().read().await?;
        let enrolled = tx.device(&device.device).await?.ok_or_else(not_member)?;
        let same = created.creator.device == *device
            && enrolled.certificate.device == *device
            && enrolled.certificate.signature_key == created.creator.signature_key;
        if same {
            return Ok(());
        }
        Err(Refusal::new(
            ErrorCode::NotAllowed,
            "the new group's member is another device than the one that asks",
        ))
    }
}

struct CreateGroup {
    group: Group,
    creator: DeviceAddress,
    state: Vec<StateChunk>,
    group_info: Vec<u8>,
}

enum Outcome {
    Created,
    Repeated,
    Exists,
}

#[async_trait]
impl WriteJob for CreateGroup {
    type Output = Outcome;

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<Outcome> {
        if tx.group_create(&self.group, &self.creator, &self.state, &self.group_info).await? {
            return Ok(Outcome::Created);
        }
        let member = tx.member(&self.group.id, &self.creator.device).await?;
        let first = |member: Member| member.device == self.creator && member.joined_seq == Seq::ZERO;
        Ok(if member.is_some_and(first) { Outcome::Repeated } else { Outcome::Exists })
    }
}

/// The hub's chunks as the store takes them.
pub(super) fn stored_chunks(chunks: Vec<Chunk>) -> Vec<StateChunk> {
    let stored = |Chunk { key, number, bytes }| StateChunk { key, number, bytes };
    chunks.into_iter().map(stored).collect()
}

/// The store's chunks as the hub takes them.
pub(super) fn hub_chunks(chunks: Vec<StateChunk>) -> Vec<Chunk> {
    let held = |StateChunk { key, number, bytes }| Chunk { key, number, bytes };
    chunks.into_iter().map(held).collect()
}
