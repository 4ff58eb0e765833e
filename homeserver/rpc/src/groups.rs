//! `Groups`: conversations, ordered by the hub that each group id names. The sender is the session's device.

use std::rc::Rc;

use qpq_core::{GroupId, MessageId, Millis, Seq, limits};
use qpq_schemas::client_capnp::{application_submit, groups, submit_answer};
use qpq_service::{
    Answered, ApplicationSubmit, CommitAnswer, FeedPosition, SubmitAnswer, Submitted, wire, write_receipt,
};
use qpq_storage::Feed;

use crate::{
    call::{call_span, or_fail, read},
    deliveries::{write_deliveries, write_position},
    session::Live,
};

pub(crate) struct GroupsServer(Rc<Live>);

impl GroupsServer {
    pub(crate) const fn new(live: Rc<Live>) -> Self {
        Self(live)
    }
}

impl groups::Server for GroupsServer {
    async fn create(
        self: Rc<Self>,
        params: groups::CreateParams,
        mut results: groups::CreateResults,
    ) -> capnp::Result<()> {
        let live = &self.0;
        let work = async {
            let params = read!(params)?;
            let group = wire::group_id(params.get_group())?;
            let info = wire::bytes("groupInfo", params.get_group_info(), limits::HANDSHAKE_BYTES)?;
            let tree = wire::bytes("ratchetTree", params.get_ratchet_tree(), limits::HANDSHAKE_BYTES)?;
            let seq = live.cases().groups.create(&live.handle, &group, info, &tree).await?;
            Ok(FeedPosition::new(Feed::Group(group), live.cases().ground.incarnation(), seq))
        };
        let position = or_fail!(live.answer(call_span!("rpc.groups.create"), work).await?, results);
        write_position(&position, results.get().init_position());
        Ok(())
    }

    async fn commit(
        self: Rc<Self>,
        params: groups::CommitParams,
        mut results: groups::CommitResults,
    ) -> capnp::Result<()> {
        let live = &self.0;
        // A commit's future holds all that is judged of it.
        let work = Box::pin(async {
            let submit = read!(params)?.get_submit().map_err(wire::unreadable)?;
            live.cases().groups.commit(&live.handle, wire::read_commit(submit)?).await
        });
        let answered = live.answer(call_span!("rpc.groups.commit"), work).await?;
        let answer = answered.unwrap_or_else(CommitAnswer::Refused);
        wire::write_commit_answer(&answer, results.get().init_answer());
        Ok(())
    }

    async fn submit(
        self: Rc<Self>,
        params: groups::SubmitParams,
        mut results: groups::SubmitResults,
    ) -> capnp::Result<()> {
        let live = &self.0;
        let work = async {
            let messages = read!(params)?.get_messages().map_err(wire::unreadable)?;
            wire::bounded("messages", messages.len())?;
            submit_readable(live, messages.iter().map(read_submit).collect()).await
        };
        let Submitted { answers, receipts } =
            or_fail!(live.answer(call_span!("rpc.groups.submit"), work).await?, results);
        let mut proofs = results.get().init_receipts(wire::length(receipts.len()));
        for (index, receipt) in (0..).zip(&receipts) {
            write_receipt(receipt, proofs.reborrow().get(index));
        }
        let mut list = results.get().init_answers(wire::length(answers.len()));
        for (index, answer) in (0..).zip(&answers) {
            write_answer(answer, list.reborrow().get(index));
        }
        Ok(())
    }

    async fn tree(
        self: Rc<Self>,
        params: groups::TreeParams,
        mut results: groups::TreeResults,
    ) -> capnp::Result<()> {
        let live = &self.0;
        let work = async {
            let params = read!(params)?;
            let group = wire::group_id(params.get_group())?;
            live.cases().groups.tree(&live.handle, &group, params.get_epoch()).await
        };
        let tree = or_fail!(live.answer(call_span!("rpc.groups.tree"), work).await?, results);
        wire::write_tree(&tree, results.get().init_tree());
        Ok(())
    }

    async fn log(
        self: Rc<Self>,
        params: groups::LogParams,
        mut results: groups::LogResults,
    ) -> capnp::Result<()> {
        let live = &self.0;
        let work = async {
            let params = read!(params)?;
            let group: GroupId = wire::group_id(params.get_group())?;
            let (after, most) = (Seq(params.get_after()), usize::from(params.get_max_items()));
            live.cases().groups.log(&live.handle, &group, after, most).await
        };
        let page = or_fail!(live.answer(call_span!("rpc.groups.log"), work).await?, results);
        let mut results = results.get();
        results.set_more(page.more);
        write_deliveries(&page.deliveries, results.init_deliveries(wire::length(page.deliveries.len())));
        Ok(())
    }
}

/// Submits what can be read; what can't is refused alone, in its place.
async fn submit_readable(live: &Live, read: Vec<Answered<ApplicationSubmit>>) -> Answered<Submitted> {
    let (mut readable, mut answers) = (Vec::with_capacity(read.len()), Vec::with_capacity(read.len()));
    for submit in read {
        answers.push(match submit {
            Ok(submit) => {
                readable.push(submit);
                None
            }
            Err(refusal) => Some(SubmitAnswer::Refused(refusal)),
        });
    }
    let Submitted { answers: answered, receipts } =
        live.cases().groups.submit(&live.handle, readable).await?;
    let mut answered = answered.into_iter();
    let answers = answers.into_iter().filter_map(|refused| refused.or_else(|| answered.next())).collect();
    Ok(Submitted { answers, receipts })
}

fn read_submit(reader: application_submit::Reader<'_>) -> Answered<ApplicationSubmit> {
    Ok(ApplicationSubmit {
        id: MessageId::from_bytes(wire::array("id", reader.get_id())?),
        group: wire::group_id(reader.get_group())?,
        message: wire::bytes("message", reader.get_message(), limits::MESSAGE_BYTES)?,
        ttl: Some(Millis(reader.get_ttl_ms())).filter(|ttl| ttl.0 > 0),
    })
}

fn write_answer(answer: &SubmitAnswer, mut builder: submit_answer::Builder<'_>) {
    match answer {
        SubmitAnswer::Refused(refusal) => wire::write_failure(refusal, builder.init_failure()),
        SubmitAnswer::AtHub { seq, at } => {
            let mut accepted = builder.init_at_hub();
            accepted.set_seq(seq.0);
            accepted.set_at(at.as_millis());
        }
        SubmitAnswer::AtHome { at } => builder.set_at_home(at.as_millis()),
    }
}
