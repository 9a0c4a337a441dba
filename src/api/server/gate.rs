//! Who may use which route: asked before each handler, denied by default.
//!
//! A request's connection ([`super::door`]) and its `Authorization` say who asks; [`Needs`] says who may. What passes has the
//! [`Caller`] and its [`Actor`] in its extensions. An app that somebody may not see is not there for them, in the very words
//! of one that is not there for anybody.
//!
//! An answer that goes on (a stream) goes on only as long as its reader may have it ([`Lapse`]): when the token is revoked,
//! rotated or runs out, or the role goes, a last line says so and the stream ends. Who is refused is in the audit log
//! ([`Denials`]).
//!
//! Failed tries are counted by address. A right token is let in however many wrong ones came before it: nobody guesses 256
//! bits, and one machine's old token must not shut out its whole office.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use axum::extract::{ConnectInfo, RawPathParams, Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use futures_util::StreamExt as _;
use futures_util::stream;

use super::denials::Denials;
use super::door::{self, DoorKey, Peer};
use super::endpoint::{self, Creation, Needs};
use super::failure::Refusal;
use super::lapse::Lapse;
use super::stream::{NDJSON, failed_line};
use crate::api::Failure;
use crate::events::News;
use crate::name::AppName;
use crate::people::{Actor, Caller, Denied, People, PeopleError, Role, Scope, Secret, State as PeopleState};
use crate::policy::RateLimit;
use crate::traffic::RateLimiter;

/// Wrong tokens of one address: so many at once, and so many a minute.
const FAILURES_MAX: RateLimit = RateLimit { requests: 20, per: Duration::from_secs(60), burst: 20 };
/// Apps that a hint lists.
const APPS_LISTED_MAX: usize = 10;

/// What requests are let in by; clones share everything.
#[derive(Clone)]
pub(super) struct Gate {
    people: People,
    /// Every app that there is.
    apps: Arc<dyn Fn() -> Vec<AppName> + Send + Sync>,
    failures: Arc<RateLimiter>,
    key: DoorKey,
}

/// What stands before one route.
#[derive(Clone)]
pub(super) struct Guard {
    pub(super) gate: Gate,
    pub(super) needs: Needs,
    pub(super) creation: Creation,
    /// Whether the route only looks.
    pub(super) is_read: bool,
    /// What the audit log calls it.
    pub(super) action: Arc<str>,
    /// Where refusals are noted.
    pub(super) denials: Option<Arc<Denials>>,
}

/// Where a request comes from, for whoever counts tries by it.
#[derive(Debug, Clone, Copy)]
pub(super) struct ClientAddr(pub(super) IpAddr);

/// Why a caller may not.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Lack {
    /// For them there is no such app.
    App(AppName),
    /// The app needs a greater role than theirs.
    Role { app: AppName, have: Role, need: Role },
    /// The token is good for less than its user.
    Scope,
    /// It needs an administrator.
    Admin,
}

// === impl Gate ===

impl Gate {
    pub(super) fn new(
        people: People,
        key: DoorKey,
        apps: impl Fn() -> Vec<AppName> + Send + Sync + 'static,
    ) -> Self {
        Self { people, apps: Arc::new(apps), failures: Arc::new(RateLimiter::new(FAILURES_MAX)), key }
    }

    /// Who may use the box.
    pub(super) fn people(&self) -> &People {
        &self.people
    }

    /// Whether there is no such app.
    pub(super) fn lacks(&self, app: &AppName) -> bool {
        !(self.apps)().contains(app)
    }

    /// Counts a failed try of an address; what it is answered with instead, once there were too many.
    pub(super) fn count_failure(&self, client: IpAddr) -> Result<(), Box<Response>> {
        self.failures.take(client).map_err(|wait| {
            let failure =
                Failure::new("too-many-tries", "there were too many wrong tokens from this address");
            let seconds = wait.as_secs() + 1;
            let failure = failure.hinted(format!("try again in {seconds}s"));
            let refused = Refusal::new(StatusCode::TOO_MANY_REQUESTS, failure).into_response();
            Box::new(([(RETRY_AFTER, HeaderValue::from(seconds))], refused).into_response())
        })
    }

    /// Whether a caller has this role for an app that their request names elsewhere than in its path.
    pub(super) fn allow(&self, caller: &Caller, app: &AppName, role: Role) -> Result<(), Refusal> {
        // It stands before no route: it is asked, and notes nothing.
        let guard = Guard {
            gate: self.clone(),
            needs: Needs::OfApp(role),
            creation: Creation::No,
            is_read: true,
            action: Arc::default(),
            denials: None,
        };
        let apps = (self.apps)();
        let is_new = !apps.contains(app);
        let lack = self.people.read(|state| guard.check(state, caller, Some(app), is_new));
        lack.map_err(|lack| guard.refusal(caller, lack, &apps))
    }

    /// Answers a request for what is not there: to those alone who may know what is.
    pub(super) fn refuse_unknown(&self, req: &mut Request, status: StatusCode) -> Response {
        match self.identify(req) {
            Ok(Some(_)) => {
                let refusal = endpoint::no_route(req.method(), req.uri().path());
                Refusal { status, ..refusal }.into_response()
            }
            Ok(None) => nobody().into_response(),
            Err(refused) => *refused,
        }
    }

    /// Who asks; `None` is nobody that is known.
    fn identify(&self, req: &mut Request) -> Result<Option<Caller>, Box<Response>> {
        if let Some(actor) = self.connected(req)? {
            return Ok(Some(Caller::of_system(actor)));
        }
        let Some(shown) = bearer(req.headers()) else { return Ok(None) };
        let known = match shown {
            Ok(secret) => self.people.authenticate(&secret),
            Err(()) => Err(Denied::Unknown),
        };
        known.map(Some).map_err(|denied| match self.count_failure(door::client(req.headers())) {
            Ok(()) => boxed(denied_refusal(denied)),
            Err(refused) => refused,
        })
    }

    /// Who of the box's own system connected; `None` for whomever the proxy passes on.
    fn connected(&self, req: &mut Request) -> Result<Option<Actor>, Box<Response>> {
        let peer = req.extensions().get::<ConnectInfo<Peer>>().map(|ConnectInfo(peer)| peer.clone());
        let opens = self.key.opens(req.headers_mut());
        match peer {
            Some(Peer::System(actor)) => Ok(Some(actor)),
            Some(Peer::Loopback) if opens => {
                let client = ClientAddr(door::client(req.headers()));
                req.extensions_mut().insert(client);
                Ok(None)
            }
            _ => {
                let failure = Failure::new("forbidden", "the API is not served here")
                    .hinted("it is at the box's own host, over https");
                Err(boxed(Refusal::new(StatusCode::FORBIDDEN, failure)))
            }
        }
    }
}

// === impl Guard ===

impl Guard {
    /// Lets the request in, or says why not.
    async fn admit(
        &self,
        params: &RawPathParams,
        req: &mut Request,
    ) -> Result<Option<Caller>, Box<Response>> {
        if self.needs == Needs::Nothing {
            self.gate.connected(req)?;
            req.extensions_mut().insert(Actor::unknown());
            return Ok(None);
        }
        let Some(caller) = self.gate.identify(req)? else {
            return Err(boxed(nobody()));
        };
        let app = params.iter().find(|(name, _)| *name == "app").map(|(_, app)| super::app_name(app));
        let app = app.transpose().map_err(boxed)?;
        let apps = (self.gate.apps)();
        let is_new = app.as_ref().is_some_and(|app| !apps.contains(app));
        let lack = self.gate.people.read(|state| self.check(state, &caller, app.as_ref(), is_new));
        if let Err(lack) = lack {
            let refusal = self.refusal(&caller, lack, &apps);
            self.note(&caller, app, req, &refusal);
            return Err(boxed(refusal));
        }
        if let Some(app) = app.filter(|_| is_new && self.creation != Creation::No) {
            let people = &self.gate.people;
            let begun = match self.creation {
                Creation::Begins => people.claim(&app, &caller).await,
                Creation::No | Creation::Precedes => {
                    let owns = people
                        .read(|state| caller.user().is_none_or(|user| state.owners(&app).contains(&user)));
                    if people.is_claimed(&app) && !owns { Err(PeopleError::Claimed(app)) } else { Ok(()) }
                }
            };
            begun.map_err(|error| boxed(error.into()))?;
        }
        req.extensions_mut().insert(caller.actor().clone());
        req.extensions_mut().insert(caller.clone());
        Ok(Some(caller))
    }

    /// Notes in the audit log who was refused, unless what they asked for is not there for them.
    fn note(&self, caller: &Caller, app: Option<AppName>, req: &Request, refusal: &Refusal) {
        let Some(denials) = self.denials.as_ref().filter(|_| refusal.status == StatusCode::FORBIDDEN) else {
            return;
        };
        let from = req.extensions().get::<ClientAddr>().map(|ClientAddr(addr)| addr.to_string());
        let why = refusal.failure.message.clone();
        let news = News { actor: caller.actor().clone(), app, from, ..News::of_box(&self.action, why) };
        denials.note(&self.action, news);
    }

    /// Whether a caller may use the route. `is_new` says that there is no such app.
    pub(super) fn check(
        &self,
        state: &PeopleState,
        caller: &Caller,
        app: Option<&AppName>,
        is_new: bool,
    ) -> Result<(), Lack> {
        let scope = caller.credential().map_or(&Scope::All, |credential| &credential.scope);
        match (self.needs, app) {
            (Needs::Nothing, _) => Ok(()),
            (Needs::Account, _) => {
                let only_looks = matches!(scope, Scope::Read | Scope::App(_, Role::Viewer));
                if self.is_read || !only_looks { Ok(()) } else { Err(Lack::Scope) }
            }
            (Needs::Oneself, _) => {
                if *scope == Scope::All {
                    Ok(())
                } else {
                    Err(Lack::Scope)
                }
            }
            (Needs::Admin, _) if state.is_admin(caller) => Ok(()),
            // A route of an app that has no app in its path is nobody's but an administrator's.
            (Needs::Admin | Needs::OfApp(_), None) | (Needs::Admin, Some(_)) => {
                let is_admin =
                    caller.user().and_then(|user| state.users.get(user)).is_some_and(|user| user.is_admin);
                Err(if is_admin { Lack::Scope } else { Lack::Admin })
            }
            (Needs::OfApp(_), Some(app)) if is_new => match (self.creation, scope) {
                (Creation::No, _) => Err(Lack::App(app.clone())),
                (Creation::Precedes | Creation::Begins, Scope::All) => Ok(()),
                (Creation::Precedes | Creation::Begins, Scope::Read) => Err(Lack::Scope),
                (Creation::Precedes | Creation::Begins, Scope::App(..)) => Err(Lack::App(app.clone())),
            },
            (Needs::OfApp(need), Some(app)) => match state.role(caller, app) {
                None => Err(Lack::App(app.clone())),
                Some(have) if have >= need => Ok(()),
                Some(_) if state.role(&caller.unscoped(), app) >= Some(need) => Err(Lack::Scope),
                Some(have) => Err(Lack::Role { app: app.clone(), have, need }),
            },
        }
    }

    fn refusal(&self, caller: &Caller, lack: Lack, apps: &[AppName]) -> Refusal {
        let who = caller.actor();
        match lack {
            Lack::App(app) => {
                let failure = Failure::new("not-found", format!("there is no app `{app}`"));
                let sees = |state: &PeopleState| -> Vec<String> {
                    let seen = apps.iter().filter(|app| state.role(caller, app).is_some());
                    seen.take(APPS_LISTED_MAX).map(|app| format!("`{app}`")).collect()
                };
                let hint = match self.gate.people.read(sees) {
                    none if none.is_empty() => "there are no apps yet".to_owned(),
                    some => format!("there is {}", some.join(", ")),
                };
                let failure = failure.hinted(hint);
                Refusal::new(StatusCode::NOT_FOUND, match self.creation {
                    Creation::No => failure,
                    Creation::Precedes | Creation::Begins => failure.hinted(
                        "and you may not make it: somebody else may have one of this name; choose another with `--app`",
                    ),
                })
            }
            Lack::Role { app, have, need } => {
                let message = format!("`{who}` is {have} of `{app}`, and this needs {need}");
                let failure = Failure::new("forbidden", message);
                let owners = self.gate.people.read(|state| {
                    let owners = state.owners(&app);
                    owners.iter().map(|owner| format!("`{owner}`")).collect::<Vec<_>>().join(", ")
                });
                let giver = if owners.is_empty() {
                    "an administrator".to_owned()
                } else {
                    format!("an owner ({owners})")
                };
                Refusal::new(
                    StatusCode::FORBIDDEN,
                    failure.hinted(format!(
                        "{giver} can give it: `minipaas access add {who} --role {need} -a {app}`"
                    )),
                )
            }
            Lack::Scope => {
                let scope = caller.credential().map_or_else(String::new, |found| found.scope.to_string());
                let failure = Failure::new(
                    "forbidden",
                    format!("the token's scope is `{scope}`, which is too little for this"),
                )
                .hinted("use a token that is good for more: `minipaas tokens create` makes one");
                Refusal::new(StatusCode::FORBIDDEN, failure)
            }
            Lack::Admin => {
                let failure =
                    Failure::new("forbidden", format!("`{who}` is no administrator, and this needs one"))
                        .hinted(format!(
                            "an administrator can do it, or make you one: `minipaas users promote {who}`"
                        ));
                Refusal::new(StatusCode::FORBIDDEN, failure)
            }
        }
    }
}

/// What stands before a route's handler.
pub(super) async fn pass(
    State(guard): State<Arc<Guard>>,
    params: RawPathParams,
    mut req: Request,
    next: Next,
) -> Response {
    let caller = match guard.admit(&params, &mut req).await {
        Ok(caller) => caller,
        Err(refused) => return *refused,
    };
    let Some(caller) = caller else { return next.run(req).await };
    let app = params.iter().find(|(name, _)| *name == "app").and_then(|(_, app)| app.parse().ok());
    // Nobody at the box itself is ever sent away.
    let may_lapse = caller.credential().is_some();
    let lapse = Lapse { guard, caller, app };
    req.extensions_mut().insert(lapse.clone());
    let answer = next.run(req).await;
    // One that has all of its bytes is over at once.
    if may_lapse && answer.body().size_hint().exact().is_none() {
        while_allowed(lapse, answer)
    } else {
        answer
    }
}

/// The answer as long as its reader may have it.
fn while_allowed(lapse: Lapse, answer: Response) -> Response {
    let (head, body) = answer.into_parts();
    let is_lines = head.headers.get(CONTENT_TYPE).is_some_and(|kind| kind == NDJSON);
    let both = Some((body.into_data_stream(), Box::pin(lapse.wait())));
    let chunks = stream::unfold(both, move |both| async move {
        let (mut chunks, mut lapsed) = both?;
        tokio::select! {
            biased;
            failure = &mut lapsed => {
                // Lines end with one that says why; of anything else the end is cut off, which no reader takes for the whole.
                let last = if is_lines { Ok(failed_line(failure)) } else { Err(axum::Error::new(failure)) };
                Some((last, None))
            }
            chunk = chunks.next() => Some((chunk?, Some((chunks, lapsed)))),
        }
    });
    Response::from_parts(head, Body::from_stream(chunks))
}

/// The token of the request, if it shows one: `Err` for what is none, or is more than one.
fn bearer(headers: &HeaderMap) -> Option<Result<Secret, ()>> {
    let mut shown = headers.get_all(AUTHORIZATION).iter();
    let first = shown.next()?;
    if shown.next().is_some() {
        return Some(Err(()));
    }
    let text = first.to_str().ok()?;
    let (scheme, secret) = text.split_once(' ').unwrap_or((text, ""));
    let secret = scheme.eq_ignore_ascii_case("bearer").then(|| secret.trim().parse().ok()).flatten();
    Some(secret.ok_or(()))
}

/// Boxed: what is seldom returned should not make every result large.
fn boxed(refusal: Refusal) -> Box<Response> {
    Box::new(refusal.into_response())
}

fn nobody() -> Refusal {
    let failure = Failure::new("unauthenticated", "this box wants to know who asks");
    Refusal::new(
        StatusCode::UNAUTHORIZED,
        failure.hinted("`minipaas login URL` logs in, with a link or a token"),
    )
}

pub(super) fn denied_refusal(denied: Denied) -> Refusal {
    let code = match denied {
        Denied::Unknown => "unauthenticated",
        Denied::Expired => "token-expired",
    };
    let failure = Failure::new(code, denied.to_string());
    let failure = failure.hinted("`minipaas login URL` logs in anew, with a link or another token");
    Refusal::new(StatusCode::UNAUTHORIZED, failure)
}
