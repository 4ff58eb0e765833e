//! `Homeserver`, the bootstrap capability: all that a connection can do before it has a session.

use std::{cell::RefCell, rc::Rc};

use capnp_rpc::new_client;
use qpq_core::{IdentityKey, Secret, limits};
use qpq_schemas::client_capnp::{
    RegistrationPolicy as WirePolicy, device_claim, domain_info, enrolment, homeserver, login, registration,
};
use qpq_service::{
    Answered, DeviceClaim, EnrolmentUnderWay, LoginUnderWay, NewAccount, Refusal, RegistrationPolicy,
    RegistrationUnderWay, wire,
};
use qpq_transparency_wire::write_place;
use qpq_transport::CallPermit;

use crate::{
    call::{call_span, or_fail, read},
    link::Link,
    session::{CAPABILITIES, open, write_grant},
};

/// The longest OPAQUE message that is looked at; all of them are far shorter.
const OPAQUE_BYTES: usize = 4 * 1024;
/// The longest sealed identity key that is looked at; the use case has its own, lower limit.
const SEALED_BYTES: usize = 4 * 1024;

pub(crate) struct HomeserverServer(Rc<Link>);

impl HomeserverServer {
    pub(crate) const fn new(link: Rc<Link>) -> Self {
        Self(link)
    }
}

impl homeserver::Server for HomeserverServer {
    async fn info(
        self: Rc<Self>,
        _: homeserver::InfoParams,
        mut results: homeserver::InfoResults,
    ) -> capnp::Result<()> {
        let _call = self.0.calls.enter()?;
        write_info(&self.0, results.get().init_info());
        Ok(())
    }

    async fn register(
        self: Rc<Self>,
        params: homeserver::RegisterParams,
        mut results: homeserver::RegisterResults,
    ) -> capnp::Result<()> {
        let link = &self.0;
        let work = async {
            let params = read!(params)?;
            let localpart = wire::text("localpart", params.get_localpart())?;
            let token = wire::text("registrationToken", params.get_registration_token())?;
            let request = wire::bytes("request", params.get_request(), OPAQUE_BYTES)?;
            let held = link.export(1)?;
            let (begun, offer) =
                link.cases.registrations.begin(&link.source, localpart, token, &request).await?;
            Ok((begun, offer, held))
        };
        let (begun, offer, held) =
            or_fail!(link.calls.answer(call_span!("rpc.homeserver.register"), work).await?, results);
        let mut results = results.get();
        results.set_response(&offer.response);
        results.set_challenge(offer.challenge.as_bytes());
        if let Some(place) = &offer.place {
            write_place(place, results.reborrow().init_place());
        }
        results.set_registration(new_client(Once::new(link, begun, held)));
        Ok(())
    }

    async fn log_in(
        self: Rc<Self>,
        params: homeserver::LogInParams,
        mut results: homeserver::LogInResults,
    ) -> capnp::Result<()> {
        let link = &self.0;
        let work = async {
            let params = read!(params)?;
            let address = wire::text("address", params.get_address())?;
            let request = wire::bytes("request", params.get_request(), OPAQUE_BYTES)?;
            let held = link.export(1)?;
            let (begun, response) = link.cases.logins.begin(&link.source, address, &request).await?;
            Ok((begun, response, held))
        };
        let (begun, response, held) =
            or_fail!(link.calls.answer(call_span!("rpc.homeserver.log_in"), work).await?, results);
        let mut results = results.get();
        results.set_response(&response);
        results.set_login(new_client(Once::new(link, begun, held)));
        Ok(())
    }

    async fn resume(
        self: Rc<Self>,
        params: homeserver::ResumeParams,
        mut results: homeserver::ResumeResults,
    ) -> capnp::Result<()> {
        let link = &self.0;
        let work = async {
            let params = read!(params)?;
            let token = Secret::new(wire::array::<32>("token", params.get_token())?);
            let next = match params.get_next().map_err(wire::unreadable)? {
                [] => None,
                offered => Some(Secret::new(wire::array::<32>("next", Ok(offered))?)),
            };
            let held = link.export(CAPABILITIES)?;
            Ok((link.cases.sessions.resume(token.expose(), next).await?, held))
        };
        let (opened, held) =
            or_fail!(link.calls.answer(call_span!("rpc.homeserver.resume"), work).await?, results);
        let mut results = results.get();
        write_grant(&opened.grant, results.reborrow().init_grant());
        results.set_session(open(link, opened.handle, held));
        Ok(())
    }
}

/// A step that can be taken once; its capability is the only way to it.
struct Once<T> {
    link: Rc<Link>,
    begun: RefCell<Option<T>>,
    _held: Vec<CallPermit>,
}

impl<T> Once<T> {
    fn new(link: &Rc<Link>, begun: T, held: Vec<CallPermit>) -> Self {
        Self { link: Rc::clone(link), begun: RefCell::new(Some(begun)), _held: held }
    }

    fn take(&self) -> Answered<T> {
        self.begun.take().ok_or_else(|| Refusal::malformed("this step was taken already: begin again"))
    }
}

impl registration::Server for Once<RegistrationUnderWay> {
    async fn finish(
        self: Rc<Self>,
        params: registration::FinishParams,
        mut results: registration::FinishResults,
    ) -> capnp::Result<()> {
        let link = &self.link;
        let work = async {
            let params = read!(params)?;
            let new = NewAccount {
                upload: wire::bytes("upload", params.get_upload(), OPAQUE_BYTES)?,
                identity_key: IdentityKey::from_bytes(wire::array("identityKey", params.get_identity_key())?),
                sealed_identity: wire::bytes("sealedIdentity", params.get_sealed_identity(), SEALED_BYTES)?,
                device: read_claim(params.get_device())?,
                binding: wire::binding(params.get_binding())?,
            };
            let held = link.export(CAPABILITIES)?;
            Ok((link.cases.registrations.finish(self.take()?, new).await?, held))
        };
        let (opened, held) =
            or_fail!(link.calls.answer(call_span!("rpc.registration.finish"), work).await?, results);
        let mut results = results.get();
        write_grant(&opened.grant, results.reborrow().init_grant());
        results.set_session(open(link, opened.handle, held));
        Ok(())
    }
}

impl login::Server for Once<LoginUnderWay> {
    async fn finish(
        self: Rc<Self>,
        params: login::FinishParams,
        mut results: login::FinishResults,
    ) -> capnp::Result<()> {
        let link = &self.link;
        let work = async {
            let finalization = wire::bytes("finalization", read!(params)?.get_finalization(), OPAQUE_BYTES)?;
            let held = link.export(1)?;
            let (begun, offer) = link.cases.logins.finish(self.take()?, &finalization).await?;
            Ok((begun, offer, held))
        };
        let (begun, offer, held) =
            or_fail!(link.calls.answer(call_span!("rpc.login.finish"), work).await?, results);
        let mut results = results.get();
        results.set_identity_key(offer.identity_key.as_bytes());
        results.set_sealed_identity(&offer.sealed_identity);
        results.set_challenge(offer.challenge.as_bytes());
        if let Some(place) = &offer.place {
            write_place(place, results.reborrow().init_place());
        }
        results.set_enrolment(new_client(Once::new(link, begun, held)));
        Ok(())
    }
}

impl enrolment::Server for Once<EnrolmentUnderWay> {
    async fn enrol(
        self: Rc<Self>,
        params: enrolment::EnrolParams,
        mut results: enrolment::EnrolResults,
    ) -> capnp::Result<()> {
        let link = &self.link;
        let work = async {
            let params = read!(params)?;
            let claim = read_claim(params.get_device())?;
            let binding = wire::binding(params.get_binding())?;
            let held = link.export(CAPABILITIES)?;
            Ok((link.cases.logins.enrol(self.take()?, claim, binding).await?, held))
        };
        let (opened, held) =
            or_fail!(link.calls.answer(call_span!("rpc.enrolment.enrol"), work).await?, results);
        let mut results = results.get();
        write_grant(&opened.grant, results.reborrow().init_grant());
        results.set_session(open(link, opened.handle, held));
        Ok(())
    }
}

fn read_claim(reader: capnp::Result<device_claim::Reader<'_>>) -> Answered<DeviceClaim> {
    let reader = reader.map_err(wire::unreadable)?;
    Ok(DeviceClaim {
        certificate: wire::read_certificate(reader.get_certificate().map_err(wire::unreadable)?)?,
        possession: wire::array("possession", reader.get_possession())?,
    })
}

fn write_info(link: &Link, mut info: domain_info::Builder<'_>) {
    let (ground, settings) = (&link.cases.ground, link.cases.ground.settings());
    info.set_domain(ground.domain().as_str());
    info.set_version(env!("CARGO_PKG_VERSION"));
    info.set_min_version(limits::PROTOCOL_VERSION);
    info.set_max_version(limits::PROTOCOL_VERSION);
    info.set_incarnation(&ground.incarnation().to_bytes());
    info.set_registration(match settings.registration {
        RegistrationPolicy::Token => WirePolicy::Token,
        RegistrationPolicy::Open => WirePolicy::Open,
    });
    info.set_draining(link.announced.is_cancelled() || link.context.stopping().is_cancelled());
    let mut in_force = info.init_limits();
    in_force.set_message_bytes(narrow(limits::MESSAGE_BYTES));
    in_force.set_handshake_bytes(narrow(limits::HANDSHAKE_BYTES));
    in_force.set_batch_items(u16::try_from(limits::BATCH_ITEMS).unwrap_or(u16::MAX));
    in_force.set_mailbox_messages(u32::try_from(settings.mailbox_messages).unwrap_or(u32::MAX));
    in_force.set_submits_per_minute(settings.submits_per_minute);
    in_force.set_message_ttl_ms(settings.message_ttl.0);
}

fn narrow(limit: usize) -> u32 {
    u32::try_from(limit).unwrap_or(u32::MAX)
}
