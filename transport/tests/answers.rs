//! What calls may make the serving side keep: calls that nobody finishes, large ones, cancelled ones, and streams.

#![expect(clippy::unwrap_used, reason = "the functions around the tests are tests too")]
#![expect(clippy::future_not_send, reason = "handlers live on one thread")]

use std::{
    cell::Cell,
    ops::Deref,
    rc::{Rc, Weak},
    time::Duration,
};

use capnp::{
    any_pointer,
    capability::{Client, DispatchCallResult, FromClientHook, FromServer, Params, Promise, Results, Server},
    data,
    message::{Builder, HeapAllocator},
    private::capability::ClientHook,
    serialize,
};
use capnp_rpc::rpc_capnp::{message, promised_answer};
use futures::{
    FutureExt,
    future::{join_all, pending},
};
use qpq_transport::{Rpc, RpcFault, RpcLimits};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf, duplex, split},
    task::{JoinHandle, LocalSet, spawn_local},
};

const SOON: Duration = Duration::from_mins(1);
/// Answers so many bytes.
const PLAIN: u16 = 0;
/// Answers so many bytes and a capability: kept until the caller's `Finish`.
const WITH_CAPABILITY: u16 = 1;
/// Never answers.
const NEVER: u16 = 2;
/// Answers nothing, a little later, one after the other.
const STREAM: u16 = 3;

/// An interface without a schema.
struct Shop {
    me: Weak<Self>,
    bytes: usize,
    served: Cell<usize>,
    under_way: Rc<Cell<usize>>,
}

impl Shop {
    fn of(bytes: usize) -> Rc<Self> {
        Rc::new_cyclic(|me| Self {
            me: Weak::clone(me),
            bytes,
            served: Cell::new(0),
            under_way: Rc::default(),
        })
    }

    fn capability(&self) -> Client {
        capnp_rpc::new_client_from_rc::<ShopClient, _>(self.me.upgrade().unwrap()).0
    }

    /// A connection to it: our end's conversation, and the other end.
    fn open(&self, limits: RpcLimits) -> (JoinHandle<Result<(), RpcFault>>, DuplexStream) {
        let (ours, theirs) = duplex(64 * 1024);
        let (reader, writer) = split(ours);
        (spawn_local(Rpc::answering(reader, writer, self.capability(), limits).run()), theirs)
    }
}

#[derive(Clone)]
struct ShopClient(Client);

impl ShopClient {
    fn over(stream: DuplexStream) -> Self {
        let (reader, writer) = split(stream);
        let mut calling = Rpc::calling(reader, writer, None, RpcLimits::client());
        let client = calling.other_side();
        spawn_local(calling.run());
        client
    }

    async fn buy(&self, method: u16) -> capnp::Result<capnp::capability::Response<any_pointer::Owned>> {
        self.0.new_call::<any_pointer::Owned, any_pointer::Owned>(1, method, None).send().promise.await
    }
}

impl FromClientHook for ShopClient {
    fn new(hook: Box<dyn ClientHook>) -> Self {
        Self(Client::new(hook))
    }

    fn into_client_hook(self) -> Box<dyn ClientHook> {
        self.0.into_client_hook()
    }

    fn as_client_hook(&self) -> &dyn ClientHook {
        self.0.as_client_hook()
    }
}

struct Dispatch(Rc<Shop>);

impl Clone for Dispatch {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl Deref for Dispatch {
    type Target = Shop;

    fn deref(&self) -> &Shop {
        &self.0
    }
}

impl Server for Dispatch {
    fn dispatch_call(
        self,
        _interface_id: u64,
        method: u16,
        params: Params<any_pointer::Owned>,
        mut results: Results<any_pointer::Owned>,
    ) -> DispatchCallResult {
        self.0.served.set(self.0.served.get() + 1);
        let under_way = UnderWay::one_more(&self.0.under_way);
        let (bytes, capability) = (vec![7; self.0.bytes], self.0.capability());
        let answered = async move {
            let _under_way = under_way;
            match method {
                PLAIN => results.get().set_as::<data::Owned>(bytes.as_slice())?,
                WITH_CAPABILITY => {
                    let mut list = results.get().initn_as::<capnp::any_pointer_list::Builder<'_>>(2);
                    list.reborrow().get(0).set_as::<data::Owned>(bytes.as_slice())?;
                    list.get(1).set_as_capability(capability.hook);
                }
                STREAM => tokio::task::yield_now().await,
                _ => pending().await,
            }
            drop(params);
            Ok(())
        };
        DispatchCallResult::new(Promise::from_future(answered), method == STREAM)
    }

    fn as_ptr(&self) -> usize {
        Rc::as_ptr(&self.0).addr()
    }
}

impl FromServer<Shop> for ShopClient {
    type Dispatch = Dispatch;

    fn from_server(shop: Rc<Shop>) -> Dispatch {
        Dispatch(shop)
    }
}

/// A call that its handler has not ended.
struct UnderWay(Rc<Cell<usize>>);

impl UnderWay {
    fn one_more(count: &Rc<Cell<usize>>) -> Self {
        count.set(count.get() + 1);
        Self(Rc::clone(count))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// A caller who speaks raw bytes, reads every reply and decides itself what it finishes.
struct Raw {
    writer: WriteHalf<DuplexStream>,
    heard: JoinHandle<Vec<u8>>,
}

impl Raw {
    async fn over(stream: DuplexStream) -> Self {
        let (mut reader, writer): (ReadHalf<_>, _) = split(stream);
        // The last bytes are enough: the reason comes last.
        let heard = spawn_local(async move {
            let (mut end, mut piece) = (Vec::new(), vec![0; 64 * 1024]);
            while let Ok(read @ 1..) = reader.read(&mut piece).await {
                end.extend_from_slice(&piece[..read]);
                end.drain(..end.len().saturating_sub(1_024));
            }
            end
        });
        let mut raw = Self { writer, heard };
        assert!(raw.send(|message| message.init_bootstrap().set_question_id(0)).await);
        raw
    }

    /// Whether it could still be sent.
    async fn send(&mut self, fill: impl FnOnce(message::Builder<'_>)) -> bool {
        let mut message = Builder::new(HeapAllocator::new());
        fill(message.init_root());
        self.writer.write_all(&serialize::write_message_to_words(&message)).await.is_ok()
    }

    /// Calls the answer of question `target`, or what its first pointer is.
    async fn call(&mut self, id: u32, target: u32, method: u16, bytes: usize) -> bool {
        self.send(|message| {
            let mut call = message.init_call();
            call.set_question_id(id);
            call.set_interface_id(1);
            call.set_method_id(method);
            call.reborrow().init_send_results_to().set_caller(());
            let params = call.reborrow().init_params().get_content();
            params.initn_as::<data::Builder<'_>>(u32::try_from(bytes).unwrap()).fill(7);
            let mut answer = call.init_target().init_promised_answer();
            answer.set_question_id(target);
            if target > 0 {
                let mut transform: capnp::struct_list::Builder<'_, promised_answer::op::Owned> =
                    answer.init_transform(1);
                transform.reborrow().get(0).set_get_pointer_field(0);
            }
        })
        .await
    }

    async fn finish(&mut self, id: u32) -> bool {
        self.send(|message| message.init_finish().set_question_id(id)).await
    }

    /// What the other side's Abort said.
    async fn last_heard(self) -> String {
        drop(self.writer);
        String::from_utf8_lossy(&self.heard.await.unwrap()).into_owned()
    }
}

/// Runs a test on one thread, as a worker would.
fn on_one_thread(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async { tokio::time::timeout(SOON, test).await.unwrap() });
}

#[test]
fn a_caller_who_finishes_no_calls_is_hung_up_on_and_told_while_others_are_served() {
    on_one_thread(async {
        let (shop, limits) = (Shop::of(10), RpcLimits::client());
        let (other, stream) = shop.open(limits);
        let neighbour = ShopClient::over(stream);
        neighbour.buy(PLAIN).await.unwrap();
        for method in [WITH_CAPABILITY, NEVER] {
            let before = shop.served.get();
            let (answering, stream) = shop.open(limits);
            let mut raw = Raw::over(stream).await;
            let mut id = 1;
            while raw.call(id, 0, method, 10).await {
                id += 1;
            }
            let fault = answering.await.unwrap().unwrap_err();
            assert!(matches!(fault, RpcFault::TooManyUnfinished { limit: 1_024 }), "{fault}");
            assert!(raw.last_heard().await.contains("more than 1024 calls were not finished"));
            assert!(shop.served.get() - before <= 1_024);
            assert_eq!(shop.under_way.get(), 0, "nothing is left of its calls");
            neighbour.buy(WITH_CAPABILITY).await.unwrap();
        }
        assert!(!other.is_finished());
    });
}

#[test]
fn a_caller_who_keeps_all_responses_is_hung_up_on() {
    on_one_thread(async {
        let shop = Shop::of(10);
        let (answering, stream) = shop.open(RpcLimits::client());
        let caller = ShopClient::over(stream);
        let mut kept = Vec::new();
        let refusal = loop {
            match caller.buy(WITH_CAPABILITY).await {
                Ok(response) => kept.push(response),
                Err(refusal) => break refusal,
            }
        };
        assert!(refusal.to_string().contains("calls were not finished"), "{refusal}");
        assert!((1_000..=1_024).contains(&kept.len()), "{}", kept.len());
        let fault = answering.await.unwrap().unwrap_err();
        assert!(matches!(fault, RpcFault::TooManyUnfinished { .. }), "{fault}");
    });
}

#[test]
fn answers_that_are_not_finished_may_not_grow_large() {
    on_one_thread(async {
        const ANSWER: usize = 512 * 1024;
        let (shop, limits) = (Shop::of(ANSWER), RpcLimits::admin());
        let (answering, stream) = shop.open(limits);
        let mut raw = Raw::over(stream).await;
        let mut id = 1;
        while raw.call(id, 0, WITH_CAPABILITY, 10).await {
            id += 1;
        }
        let fault = answering.await.unwrap().unwrap_err();
        assert!(matches!(fault, RpcFault::UnfinishedBytes { .. }), "{fault}");
        assert!(raw.last_heard().await.contains("calls that were not finished hold"));
        // The gate closes late for a reader, so a few calls more may have been taken than answers fit.
        let most = 4 * limits.frame_bytes / ANSWER;
        assert!(shop.served.get() <= 2 * most, "{} answers were made, {most} fit", shop.served.get());
    });
}

#[test]
fn calls_queued_on_an_answer_that_never_comes_may_not_grow_large() {
    on_one_thread(async {
        let (shop, limits) = (Shop::of(10), RpcLimits::admin());
        let (answering, stream) = shop.open(limits);
        let mut raw = Raw::over(stream).await;
        assert!(raw.call(1, 0, NEVER, 10).await);
        let mut id = 2;
        while raw.call(id, 1, PLAIN, 256 * 1024).await {
            id += 1;
        }
        assert!(id < 30, "{id} calls were taken");
        let fault = answering.await.unwrap().unwrap_err();
        assert!(matches!(fault, RpcFault::UnfinishedBytes { .. }), "{fault}");
    });
}

#[test]
fn calls_that_others_wait_for_count_although_they_are_finished() {
    on_one_thread(async {
        let (shop, limits) = (Shop::of(10), RpcLimits::admin());
        let (answering, stream) = shop.open(limits);
        let mut raw = Raw::over(stream).await;
        let mut id = 1;
        while raw.call(id, 0, NEVER, 256 * 1024).await
            && raw.call(id + 1, id, NEVER, 10).await
            && raw.finish(id).await
        {
            id += 2;
        }
        assert!(shop.served.get() < 20, "{} calls are held", shop.served.get());
        let fault = answering.await.unwrap().unwrap_err();
        assert!(matches!(fault, RpcFault::UnfinishedBytes { .. }), "{fault}");
    });
}

#[test]
fn cancelled_calls_free_what_they_held_until_one_connection_has_too_many() {
    on_one_thread(async {
        let shop = Shop::of(10);
        let limits = RpcLimits { unfinished_calls: 64, ..RpcLimits::admin() };
        let (answering, stream) = shop.open(limits);
        let mut raw = Raw::over(stream).await;
        for id in 1..=1_024 {
            assert!(raw.call(id, 0, NEVER, 16 * 1024).await && raw.finish(id).await);
        }
        assert!(!answering.is_finished(), "16 MiB of cancelled calls passed");
        let mut id = 1_025;
        while raw.call(id, 0, NEVER, 10).await && raw.finish(id).await {
            id += 1;
        }
        let fault = answering.await.unwrap().unwrap_err();
        assert!(matches!(fault, RpcFault::TooManyCancelled { limit: 1_024 }), "{fault}");
    });
}

/// Why cancelled calls are counted at all: should this fail after an update of capnp, the count may go.
#[test]
fn capnp_never_forgets_a_cancelled_call() {
    on_one_thread(async {
        let shop = Shop::of(10);
        let (answering, stream) = shop.open(RpcLimits::client());
        let mut raw = Raw::over(stream).await;
        assert!(raw.call(1, 0, NEVER, 10).await);
        while shop.under_way.get() == 0 {
            tokio::task::yield_now().await;
        }
        assert!(raw.finish(1).await);
        while shop.under_way.get() > 0 {
            tokio::task::yield_now().await;
        }
        assert!(raw.call(1, 0, PLAIN, 10).await);
        let fault = answering.await.unwrap().unwrap_err();
        assert!(fault.to_string().contains("in-use question id"), "{fault}");
    });
}

#[test]
fn results_are_kept_here_for_nobody() {
    on_one_thread(async {
        let (answering, stream) = Shop::of(10).open(RpcLimits::client());
        let mut raw = Raw::over(stream).await;
        let sent = raw.send(|message| {
            let mut call = message.init_call();
            call.set_question_id(1);
            call.reborrow().init_send_results_to().set_yourself(());
            call.init_target().init_promised_answer().set_question_id(0);
        });
        assert!(sent.await);
        let fault = answering.await.unwrap().unwrap_err();
        assert!(fault.to_string().contains("to the caller only"), "{fault}");
    });
}

#[test]
fn a_hundred_thousand_ordinary_calls_pass() {
    on_one_thread(async {
        let shop = Shop::of(10);
        let (answering, stream) = shop.open(RpcLimits::client());
        let caller = ShopClient::over(stream);
        for round in 0..200 {
            let method = if round % 2 == 0 { PLAIN } else { WITH_CAPABILITY };
            for answered in join_all((0..500).map(|_| caller.buy(method))).await {
                answered.unwrap();
            }
        }
        assert_eq!(shop.served.get(), 100_000);
        assert!(!answering.is_finished());
    });
}

#[test]
fn streams_and_cancelled_calls_of_an_ordinary_caller_pass() {
    const ITEMS: usize = 5_000;
    on_one_thread(async {
        let shop = Shop::of(10);
        let (answering, stream) = shop.open(RpcLimits::client());
        let caller = ShopClient::over(stream);
        for _ in 0..ITEMS {
            let mut item = caller.0.new_streaming_call::<any_pointer::Owned>(1, STREAM, None);
            item.get().set_as::<data::Owned>([7; 1_024].as_slice()).unwrap();
            item.send().await.unwrap();
        }
        for _ in 0..ITEMS {
            assert!(caller.buy(NEVER).now_or_never().is_none());
            tokio::task::yield_now().await;
        }
        caller.buy(WITH_CAPABILITY).await.unwrap();
        // Some are cancelled before they reach their handler.
        assert!(shop.served.get() > ITEMS);
        assert_eq!(shop.under_way.get(), 0);
        assert!(!answering.is_finished());
    });
}
