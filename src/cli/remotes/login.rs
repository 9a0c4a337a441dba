//! `minipaas login`, `logout` and `whoami`.
//!
//! Logging in takes an invite's link, which makes an account and a token, or an address and a token that somebody has. A box
//! whose certificate is of its own CA is believed once that CA's fingerprint is: the one in the link, the one that was typed,
//! or the one that a person says yes to. Only then does anything secret go there.

use std::io::Read as _;

use anyhow::{Context as _, anyhow};
use zeroize::Zeroizing;

use super::super::Session;
use super::super::args::{LoginArgs, LogoutArgs};
use super::super::failure::{Failure, Kind};
use super::super::output::{Answer, Table};
use super::file::{Remote, Remotes, check_name};
use crate::api::client::{BoxTrust, BoxUrl, Client, ClientError};
use crate::api::{RedeemRequest, Shown, Whoami};
use crate::tls::CaCertificate;

/// What the part of an invite's link before its code ends with.
const INVITE_PATH: &str = "/invite/";
/// What follows the hash of a link to a box with a CA of its own.
const PIN: &str = "ca=";
/// Where Linux says what this machine is called.
const HOSTNAME_FILE: &str = "/proc/sys/kernel/hostname";
/// More than any token has.
const TOKEN_BYTES_MAX: u64 = 4096;

/// What `login` was given.
struct Target {
    url: BoxUrl,
    /// An invite's code.
    code: Option<String>,
    /// The fingerprint of the CA to believe.
    pin: Option<String>,
}

pub(crate) async fn run(session: &Session, args: &LoginArgs) -> Result<(), Failure> {
    log_in(session, args, args.name.as_deref()).await
}

/// Logs in to a box, which is called `name` here from now on.
pub(super) async fn log_in(session: &Session, args: &LoginArgs, name: Option<&str>) -> Result<(), Failure> {
    let target = Target::read(args)?;
    let mut remotes = Remotes::read(&session.env)?;
    let name = name.map_or_else(|| default_name(&remotes, &target.url), str::to_owned);
    check_name(&name)?;
    if let Some(other) = remotes.boxes.get(&name).filter(|other| other.url != target.url) {
        return Err(Failure::usage(format!("the remote `{name}` is {}", other.url))
            .hint("`--name NAME` gives this one another name"));
    }
    let ca = find_ca(session, &target).await?;
    let trust = BoxTrust::Known(ca.clone());
    let token = match &target.code {
        Some(code) => redeem(session, args, &target.url, &trust, code).await?,
        None => read_token(session, args)?,
    };
    let client = Client::https(target.url.clone(), &trust, Some(&token))?;
    let whoami = client.whoami().await?;
    remotes.boxes.insert(name.clone(), Remote { url: target.url.clone(), ca, token });
    remotes.write()?;
    let what = if whoami.is_admin { ", an administrator" } else { "" };
    session.out.notice(format_args!("logged in to {} as `{}`{what}", target.url, whoami.user));
    session.out.notice(format_args!("`minipaas -r {name} apps` goes there"));
    if session.out.is_json() {
        session.out.json(&whoami)?;
    }
    Ok(())
}

/// `minipaas logout`: ends the token there, and forgets the box here.
pub(crate) async fn logout(session: &Session, args: &LogoutArgs) -> Result<(), Failure> {
    let mut remotes = Remotes::read(&session.env)?;
    let named = args.name.as_deref().or(session.globals.remote.as_deref());
    let named = named.or_else(|| session.env.get("MINIPAAS_REMOTE"));
    let Some(name) = named.or_else(|| remotes.chosen()).map(str::to_owned) else {
        return Err(Failure::usage("it is not clear from which box").hint("`minipaas remotes` lists them"));
    };
    let client = remotes.find(&name)?.client()?;
    let revoked = async {
        let token = client.whoami().await?.token;
        match token {
            Some(token) => client.revoke_token(&token.id).await,
            None => Ok(()),
        }
    };
    if let Err(error) = revoked.await {
        // Whoever wants to be rid of a box need not wait for it.
        session
            .out
            .warning(format_args!("the token is forgotten here, but goes on to be good there: {error}"));
    }
    remotes.boxes.remove(&name);
    remotes.default = remotes.default.take().filter(|default| *default != name);
    remotes.write()?;
    session.out.notice(format_args!("logged out of `{name}`"));
    Ok(())
}

/// `minipaas whoami`.
pub(crate) async fn whoami(session: &Session) -> Result<(), Failure> {
    let whoami = session.client().whoami().await?;
    if session.out.is_json() {
        return Ok(session.out.json(&whoami)?);
    }
    session.out.line(&whoami.user)?;
    print_details(session, &whoami)
}

fn print_details(session: &Session, whoami: &Whoami) -> Result<(), Failure> {
    let out = session.out;
    let kind = match (&whoami.token, whoami.is_admin) {
        (None, _) => "at the box itself, where everybody is an administrator".to_owned(),
        (Some(token), true) => format!("an administrator, by the token `{}`", token.name),
        (Some(token), false) => format!("by the token `{}`, good for {}", token.name, token.scope),
    };
    out.notice(format_args!("{kind}; the box is {}", whoami.host));
    if whoami.token.is_some() && !whoami.is_admin {
        let mut table = Table::new(["APP", "ROLE"]);
        for (app, role) in &whoami.apps {
            table.row([app.clone(), role.clone()]);
        }
        out.table(&table)?;
    }
    Ok(())
}

impl Target {
    fn read(args: &LoginArgs) -> Result<Self, Failure> {
        let (address, fragment) = args.url.split_once('#').unwrap_or((&args.url, ""));
        let (address, code) = match address.split_once(INVITE_PATH) {
            Some((address, code)) => (address, Some(code.trim_end_matches('/').to_owned())),
            None => (address, None),
        };
        let pin = args.fingerprint.as_deref().or_else(|| fragment.strip_prefix(PIN)).map(digits);
        if let Some(pin) = pin.as_deref().filter(|pin| !is_fingerprint(pin)) {
            let message = format!("`{pin}` is no SHA-256 fingerprint; it has 64 hexadecimal digits");
            return Err(Failure::usage(message));
        }
        if args.token.as_deref().is_some_and(|token| token != "-") {
            return Err(Failure::usage("a token on a command line is there for all to see")
                .hint("`--token -` reads it from standard input; without, it is asked for")
                .hint("revoke the one that you typed: `minipaas tokens revoke`"));
        }
        Ok(Self { url: address.parse()?, code, pin })
    }
}

/// The box's own CA in PEM, if it needs one to be believed.
async fn find_ca(session: &Session, target: &Target) -> Result<Option<String>, Failure> {
    let url = &target.url;
    match Client::https(url.clone(), &BoxTrust::Known(None), None)?.connect().await {
        Ok(()) => return Ok(None),
        Err(ClientError::Untrusted { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let pem = Client::https(url.clone(), &BoxTrust::Nobody, None)?.ca_pem().await?;
    let certificate = CaCertificate::from_pem(&pem).map_err(anyhow::Error::new).and_then(|certificate| {
        if certificate.is_ca() { Ok(certificate) } else { Err(anyhow!("it may not sign others")) }
    });
    let certificate = certificate
        .with_context(|| format!("what `{url}` has is not a CA's certificate"))
        .map_err(|error| Failure::new(Kind::Failed, error))?;
    match &target.pin {
        Some(pin) if *pin == digits(&certificate.fingerprint()) => {}
        Some(_) => {
            let message = format!("`{url}` has another CA than expected: {}", certificate.fingerprint());
            return Err(Failure::failed(message)
                .hint("nothing was sent; somebody else may answer in the box's place"));
        }
        None => confirm(session, url, &certificate).await?,
    }
    let pem = certificate.pem().to_owned();
    // Now it is to be proved, and for the host that was typed.
    Client::https(url.clone(), &BoxTrust::Known(Some(pem.clone())), None)?.connect().await?;
    Ok(Some(pem))
}

async fn confirm(session: &Session, url: &BoxUrl, certificate: &CaCertificate) -> Result<(), Failure> {
    let out = session.out;
    let fingerprint = certificate.fingerprint();
    out.say(format_args!("{url} has a certificate of its own CA, which this machine does not know:"));
    out.say(format_args!("  name     {}", certificate.name()));
    out.say(format_args!("  SHA-256  {fingerprint}"));
    out.say("compare it with the box's own, by another way than this: `minipaas trust --print --json`");
    match tokio::task::spawn_blocking(move || out.ask("believe it, for this box alone?")).await {
        Ok(Answer::Yes) => Ok(()),
        Ok(Answer::No) => Err(Failure::failed("nothing was sent")),
        _ => Err(Failure::usage(format!("{url} may be anybody, and there is nobody to ask")).hint(format!(
            "`--fingerprint {fingerprint}` believes it, once you know that it is the right one"
        ))),
    }
}

async fn redeem(
    session: &Session,
    args: &LoginArgs,
    url: &BoxUrl,
    trust: &BoxTrust,
    code: &str,
) -> Result<Zeroizing<String>, Failure> {
    if args.token.is_some() {
        return Err(Failure::usage("an invite's link needs no token"));
    }
    let client = Client::https(url.clone(), trust, None)?;
    let machine = std::fs::read_to_string(HOSTNAME_FILE).unwrap_or_default();
    let machine = if machine.trim().is_empty() { "a machine" } else { machine.trim() };
    let request = RedeemRequest {
        code: Shown(code.to_owned()),
        user: args.user.clone(),
        token_name: format!("login on {machine}"),
    };
    let redeemed = match client.redeem(&request).await {
        Err(ClientError::Failed(failure)) if failure.code == "name-needed" && session.out.can_ask() => {
            let user = ask_name(session)?;
            client.redeem(&RedeemRequest { user: Some(user), ..request }).await?
        }
        answer => answer?,
    };
    Ok(Zeroizing::new(redeemed.secret.0))
}

fn ask_name(session: &Session) -> Result<String, Failure> {
    session.out.say("the invite leaves the name to you; which one do you want?");
    let mut name = String::new();
    std::io::stdin()
        .read_line(&mut name)
        .context("cannot read a name")
        .map_err(|error| Failure::new(Kind::Failed, error))?;
    Ok(name.trim().to_owned())
}

/// From standard input, or from somebody at a terminal, who does not see it.
fn read_token(session: &Session, args: &LoginArgs) -> Result<Zeroizing<String>, Failure> {
    let mut text = Zeroizing::new(String::new());
    let read = if args.token.is_some() {
        std::io::stdin().take(TOKEN_BYTES_MAX).read_to_string(&mut text).map(drop)
    } else if session.out.can_ask() {
        session.out.say("the token, which is not shown:");
        console::Term::stderr().read_secure_line().map(|line| *text = line)
    } else {
        return Err(Failure::usage("a token is needed, and there is nobody to ask")
            .hint("`--token -` reads it from standard input; an invite's link needs none"));
    };
    read.context("cannot read the token").map_err(|error| Failure::new(Kind::Failed, error))?;
    let token = Zeroizing::new(text.trim().to_owned());
    if token.parse::<crate::people::Secret>().is_err() {
        return Err(Failure::usage("this is no token of a minipaas box; those begin with `mp_`"));
    }
    Ok(token)
}

/// The host's first word, unless another box has it.
fn default_name(remotes: &Remotes, url: &BoxUrl) -> String {
    if let Some((name, _)) = remotes.boxes.iter().find(|(_, remote)| remote.url == *url) {
        return name.clone();
    }
    let is_address = url.host().parse::<std::net::IpAddr>().is_ok() || url.host().starts_with('[');
    let word = url.host().split('.').next().filter(|_| !is_address).unwrap_or("box");
    let is_free = |name: &String| check_name(name).is_ok() && !remotes.boxes.contains_key(name);
    let numbered = (2..).map(|number| format!("{word}-{number}"));
    std::iter::once(word.to_owned()).chain(numbered).find(is_free).unwrap_or_else(|| "box".to_owned())
}

fn digits(fingerprint: &str) -> String {
    fingerprint.replace([':', ' '], "").to_ascii_lowercase()
}

fn is_fingerprint(digits: &str) -> bool {
    digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}
