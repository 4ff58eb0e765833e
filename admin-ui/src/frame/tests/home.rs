//! A domain in memory with its console, and browsers that keep cookies.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::ConnectInfo,
    http::{HeaderMap, Request, StatusCode, header},
};
use data_encoding::BASE32_NOPAD;
use ed25519_dalek::SigningKey;
use qpq_core::{
    Clock, Digest, Domain, Entropy, FederationKey, Incarnation, ManualClock, Millis, OsEntropy, Pin, Secret,
    Timestamp,
};
use qpq_federation_proto::Policy;
use qpq_hub::Engine;
use qpq_service::{
    Actions, Admins, Appliance, ConsolePlace, DomainFacts, Ground, OpaqueSetup, Peering, PeeringIdentity,
    Settings, UseCases, Writer, open_log,
};
use qpq_storage::{Storage, memory::MemoryStorage};
use qpq_transparency::{LogKeys, LogSeeds};
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use super::super::console;
use crate::pages::ask;

pub(super) const ORIGIN: &str = "http://localhost:7445";
pub(super) const PASSWORD: &str = "four words make one";

/// `alpha.test` and its console.
pub(super) struct Home {
    router: Router,
    pub(super) clock: Arc<ManualClock>,
    pub(super) admins: Admins,
}

/// An answer that was read to its end.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

/// A browser.
#[derive(Clone)]
pub(super) struct Browser<'a> {
    home: &'a Home,
    pub(super) cookies: BTreeMap<String, String>,
    pub(super) language: &'static str,
    secret: Vec<u8>,
}

impl Home {
    pub(super) async fn open() -> Self {
        Self::at(ORIGIN, "localhost").await
    }

    pub(super) async fn at(origin: &str, rp_id: &str) -> Self {
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_795_482_400_000)));
        let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
        let (writer, task) = Writer::new(Arc::clone(&storage));
        TaskTracker::new().spawn(task);
        let domain: Domain = "alpha.test".parse().unwrap();
        let mut entropy = OsEntropy::new().unwrap();
        let incarnation = Incarnation::begin(clock.now(), &mut entropy);
        let shown: Arc<dyn Clock> = Arc::<ManualClock>::clone(&clock);
        let settings = Settings::default();
        let ground = Ground::new(
            domain,
            incarnation,
            settings,
            Arc::clone(&shown),
            Box::new(OsEntropy::new().unwrap()),
            storage,
            writer,
        );
        let ground = Arc::new(ground);
        let key = SigningKey::from_bytes(&entropy.bytes32());
        let seeds = LogSeeds { log: Secret::new([1; 32]), vrf: Secret::new([2; 32]) };
        let federation = FederationKey::from_bytes(key.verifying_key().to_bytes());
        open_log(&ground, LogKeys::new(ground.domain(), &seeds), federation).await.unwrap();
        let cases = UseCases::new(&ground, OpaqueSetup::generate(&mut entropy), Engine::new().unwrap());
        let facts = DomainFacts {
            domain: "alpha.test".to_owned(),
            version: "0".to_owned(),
            client_address: "127.0.0.1:7443".to_owned(),
            federation_address: "127.0.0.1:7444".to_owned(),
            client_pin: "pin".to_owned(),
            federation_key: "key".to_owned(),
            admin_url: origin.to_owned(),
            since: clock.now(),
        };
        let identity = PeeringIdentity {
            policy: Policy::AllowListed,
            address: "127.0.0.1:7444".parse().ok(),
            ca_certificate: vec![1; 100],
            pin: Pin::from_digest(Digest::ZERO),
            key,
        };
        let place = ConsolePlace {
            origin: origin.to_owned(),
            rp_id: rp_id.to_owned(),
            domain: "alpha.test".to_owned(),
        };
        let admins = Admins::new(Arc::clone(&ground), place).unwrap();
        let peering = Peering::new(ground, identity);
        let actions = Arc::new(Actions::new(&cases, admins.clone(), peering, facts, Appliance::bare()));
        Self { router: console(actions, admins.clone(), shown), clock, admins }
    }

    pub(super) fn browser(&self) -> Browser<'_> {
        Browser { home: self, cookies: BTreeMap::new(), language: "en", secret: Vec::new() }
    }

    /// A browser with the first admin signed in, who is an owner.
    pub(super) async fn owner(&self) -> Browser<'_> {
        let link = self.admins.first_run().await.unwrap().unwrap();
        let mut browser = self.browser();
        browser.sets_up(&link.url, "olga").await;
        browser
    }

    /// A browser with another admin signed in.
    pub(super) async fn admin(&self, owner: &mut Browser<'_>, role: &str) -> Browser<'_> {
        let name = format!("{role}s");
        let made = owner.sends("/admins", "/admins/add", &[("name", &name), ("role", role)]).await;
        assert_eq!(made.status, StatusCode::OK, "{}", made.body);
        let url = made.between("id=\"secret\" class=\"secret\">", "<");
        let mut browser = self.browser();
        browser.sets_up(&url, "").await;
        browser
    }

    pub(super) async fn asked(&self, request: Request<Body>) -> Answer {
        let mut request = request;
        request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 50_000))));
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, 1 << 22).await.unwrap();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: String::from_utf8_lossy(&bytes).into_owned(),
        }
    }
}

impl Answer {
    /// What stands between two texts; panics if it is not there.
    pub(super) fn between(&self, before: &str, after: &str) -> String {
        let rest = self.body.split_once(before);
        let (_, rest) = rest.unwrap_or_else(|| panic!("no `{before}` in {}", self.body));
        rest.split_once(after).unwrap().0.to_owned()
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

impl Browser<'_> {
    pub(super) fn request(&self, method: &str, path: &str) -> axum::http::request::Builder {
        let cookies: Vec<String> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = Request::builder().method(method).uri(path).header(header::HOST, "localhost:7445");
        let request = request.header(header::ACCEPT_LANGUAGE, self.language);
        request
            .header(header::COOKIE, cookies.join("; "))
            .header(header::USER_AGENT, "<script>agent</script>")
    }

    pub(super) async fn ask(&mut self, request: Request<Body>) -> Answer {
        let answer = self.home.asked(request).await;
        for cookie in answer.headers.get_all(header::SET_COOKIE) {
            let cookie = cookie.to_str().unwrap();
            for part in ["Path=/", "Secure", "HttpOnly", "SameSite=Strict"] {
                assert!(cookie.contains(part), "{cookie}");
            }
            assert!(cookie.starts_with("__Host-") && !cookie.contains("Domain"), "{cookie}");
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            if cookie.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        answer
    }

    pub(super) async fn get(&mut self, path: &str) -> Answer {
        let request = self.request("GET", path).body(Body::empty()).unwrap();
        self.ask(request).await
    }

    /// Sends a form as a page of ours would.
    pub(super) async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let request = self.request("POST", path).header("sec-fetch-site", "same-origin");
        let request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        let request = request.body(Body::from(form(fields))).unwrap();
        self.ask(request).await
    }

    /// Opens a page and sends a form with the page's token.
    pub(super) async fn sends(&mut self, page: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
        let token = self.token(page).await;
        let mut fields = fields.to_vec();
        fields.extend([("_token", token.as_str()), ("_back", page)]);
        self.post(path, &fields).await
    }

    /// The token of a page's forms.
    pub(super) async fn token(&mut self, page: &str) -> String {
        self.get(page).await.between("name=\"_token\" value=\"", "\"")
    }

    /// Uses a link with a password and codes.
    pub(super) async fn sets_up(&mut self, url: &str, name: &str) {
        let path = url.strip_prefix(ORIGIN).unwrap();
        let offer = self.sends(path, &format!("{path}/password/offer"), &[("name", name)]).await;
        assert_eq!(offer.status, StatusCode::OK, "{}", offer.body);
        let secret = offer.between("id=\"totp-secret\" class=\"secret\">", "<").replace(' ', "");
        self.secret = BASE32_NOPAD.decode(secret.as_bytes()).unwrap();
        let id = offer.between("name=\"offer\" value=\"", "\"");
        let token = offer.between("name=\"_token\" value=\"", "\"");
        let code = self.code();
        let fields = [
            ("_token", token.as_str()),
            ("name", name),
            ("offer", &id),
            ("_password", PASSWORD),
            ("_code", &code),
        ];
        let done = self.post(&format!("{path}/password"), &fields).await;
        assert_eq!(done.status, StatusCode::OK, "{}", done.body);
        assert_eq!(done.body.matches("<li><code>").count(), 10, "{}", done.body);
    }

    /// What the authenticator shows next: each code counts once.
    pub(super) fn code(&self) -> String {
        self.home.clock.advance(Millis::from_secs(30));
        let secret = <[u8; 20]>::try_from(self.secret.as_slice()).unwrap();
        let secret = totp_rs::Secret::from(secret);
        let builder = totp_rs::Builder::new().with_algorithm(totp_rs::Algorithm::SHA1).with_digits(6);
        let totp = builder.with_step_duration(30).with_secret(secret).build().unwrap();
        totp.generate(self.home.clock.now().as_millis() / 1_000).to_string()
    }
}

/// A form's body.
pub(super) fn form(fields: &[(&str, &str)]) -> String {
    let pairs = fields.iter().map(|(name, value)| format!("{}={}", ask::encoded(name), ask::encoded(value)));
    pairs.collect::<Vec<_>>().join("&")
}
