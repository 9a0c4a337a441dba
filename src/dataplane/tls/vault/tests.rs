//! A vault in a temporary folder: what is found for a host, what a kill leaves behind, and what its files say.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::Ordering;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use tempfile::TempDir;

use super::super::sample::{Authority, DAY, EC_PKCS8, day};
use super::*;

/// More than any box has, and as many as one must have.
const MANY: usize = 10_000;
/// Where OpenSSL's PKCS#8 of a P-256 key has the number that is the key.
const EC_SECRET: std::ops::Range<usize> = 36..68;

/// A folder, and the vaults in it, each as after a restart.
struct Fixture {
    dir: TempDir,
    authority: Authority,
}

impl Fixture {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), authority: Authority::new("R1") }
    }

    fn open(&self) -> Vault {
        self.open_with_key(1)
    }

    fn open_with_key(&self, key: u8) -> Vault {
        Vault::open(&self.certs(), BoxKey::new(&[key; 32])).unwrap()
    }

    fn certs(&self) -> PathBuf {
        self.dir.path().join("certs")
    }

    fn chain(&self, names: &[&str]) -> Chain {
        self.authority.issue(names).chain()
    }

    fn file(&self, id: CertificateId) -> PathBuf {
        self.certs().join(format!("{id}.pem"))
    }

    fn index(&self) -> PathBuf {
        self.certs().join("index")
    }

    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.certs()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn acme() -> Source {
    Source::Acme { authority: "letsencrypt".to_owned() }
}

/// Whether the vault serves this chain for the host.
fn serves(vault: &Vault, host: &str, chain: &Chain) -> bool {
    vault.find(host).is_some_and(|found| found.cert == chain.certified_key().cert)
}

fn reads(vault: &Vault) -> usize {
    vault.0.directory.reads.load(Ordering::Relaxed)
}

#[test]
fn what_is_put_is_found_at_once_and_after_a_restart() {
    let fixture = Fixture::new();
    let (vault, chain) = (fixture.open(), fixture.chain(&["Shop.example.com", "192.0.2.7"]));
    assert!(vault.find("shop.example.com").is_none());
    let id = vault.put(&chain, acme()).unwrap();
    let summary = vault.summary(id).unwrap();
    assert_eq!(summary.names, ["shop.example.com", "192.0.2.7"]);
    assert_eq!((summary.not_before, summary.not_after), (day(-1), day(60)));
    assert_eq!(summary.source, acme());
    assert_eq!(summary.fingerprint, chain.fingerprint());
    assert_eq!(chain.fingerprint().replace(':', "").to_lowercase()[..16], id.to_string());
    for vault in [vault, fixture.open()] {
        for host in ["shop.example.com", "192.0.2.7"] {
            assert!(serves(&vault, host, &chain), "{host}");
        }
        assert!(vault.find("x.shop.example.com").is_none());
        assert_eq!(vault.list(), std::slice::from_ref(&summary));
        assert_eq!(vault.best("shop.example.com"), Some(summary.clone()));
        vault.find("shop.example.com").unwrap().keys_match().unwrap();
    }
}

#[test]
fn exact_before_wildcard_own_before_acme_and_expired_last() {
    let fixture = Fixture::new();
    let vault = fixture.open();
    let chain = |names: &[&str], days: (i64, i64)| {
        fixture.authority.request(names).days(days.0, days.1).issue().chain()
    };
    let host = "shop.example.com";
    let put = |chain: &Chain, source| vault.put(chain, source).unwrap();
    let expired = chain(&[host], (-60, -1));
    put(&expired, Source::Own);
    assert!(serves(&vault, host, &expired), "there is nothing else");
    let wildcard = chain(&["*.example.com"], (-1, 90));
    put(&wildcard, Source::Own);
    assert!(serves(&vault, host, &wildcard));
    assert!(!serves(&vault, "a.shop.example.com", &wildcard));
    let short = chain(&[host], (-1, 20));
    put(&short, acme());
    assert!(serves(&vault, host, &short));
    let long = chain(&[host], (-1, 30));
    let long_id = put(&long, acme());
    assert!(serves(&vault, host, &long));
    let own = chain(&[host], (-1, 10));
    let own_id = put(&own, Source::Own);
    assert!(serves(&vault, host, &own));
    assert_eq!(vault.best(host).unwrap().id, own_id);
    put(&chain(&[host], (1, 90)), Source::Own);
    assert!(serves(&vault, host, &own), "that one is not yet valid");

    vault.remove(own_id).unwrap();
    assert!(serves(&vault, host, &long));
    assert!(serves(&fixture.open(), host, &long));
    vault.remove(long_id).unwrap();
    assert!(serves(&vault, host, &short));
    assert_eq!(
        vault.remove(long_id).unwrap_err().to_string(),
        format!("there is no certificate `{long_id}`; `minipaas certs` lists those that there are")
    );
}

#[test]
fn ecdsa_first_and_rsa_for_clients_that_take_no_other() {
    let fixture = Fixture::new();
    let vault = fixture.open();
    let [ecdsa, rsa, ed25519] =
        [(KeyKind::Ecdsa, 30), (KeyKind::Rsa, 60), (KeyKind::Ed25519, 90)].map(|(kind, days)| {
            fixture.authority.request(&["a.example.com"]).kind(kind).days(-1, days).issue().chain()
        });
    for chain in [&rsa, &ed25519, &ecdsa] {
        vault.put(chain, Source::Own).unwrap();
    }
    let found = |accepts: &[KeyKind]| {
        let found = vault.find_for("a.example.com", |kind| accepts.contains(&kind)).unwrap();
        found.cert[0].clone()
    };
    assert_eq!(found(&[KeyKind::Rsa, KeyKind::Ecdsa]), *ecdsa.leaf());
    assert_eq!(found(&[KeyKind::Rsa]), *rsa.leaf());
    assert_eq!(found(&[KeyKind::Ed25519]), *ed25519.leaf());
    assert_eq!(found(&[]), *ecdsa.leaf());
    assert!(serves(&vault, "a.example.com", &ecdsa));
}

#[test]
fn the_same_chain_again_takes_the_place_of_itself() {
    let fixture = Fixture::new();
    let (vault, chain) = (fixture.open(), fixture.chain(&["a.example.com"]));
    let id = vault.put(&chain, acme()).unwrap();
    assert_eq!(vault.put(&chain, Source::Own).unwrap(), id);
    for vault in [vault, fixture.open()] {
        assert_eq!(vault.list().len(), 1);
        assert_eq!(vault.best("a.example.com").unwrap().source, Source::Own);
    }
    assert_eq!(fixture.files(), [format!("{id}.pem"), "index".to_owned()]);
}

#[test]
fn only_the_owner_may_look() {
    let fixture = Fixture::new();
    fs::create_dir(fixture.certs()).unwrap();
    fs::set_permissions(fixture.certs(), fs::Permissions::from_mode(0o755)).unwrap();
    let vault = fixture.open();
    let id = vault.put(&fixture.chain(&["a.example.com"]), acme()).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&fixture.certs()), 0o700);
    assert_eq!((mode(&fixture.file(id)), mode(&fixture.index())), (0o600, 0o600));
}

#[test]
fn whatever_a_kill_has_left_the_next_start_has_whole_certificates() {
    let fixture = Fixture::new();
    let vault = fixture.open();
    let [a, b] = ["a.example.com", "b.example.com"].map(|name| fixture.chain(&[name]));
    let a_id = vault.put(&a, acme()).unwrap();
    let index_of_a = fs::read(fixture.index()).unwrap();
    let b_id = vault.put(&b, acme()).unwrap();
    let index_of_both = fs::read(fixture.index()).unwrap();
    let summaries = vault.list();
    let check = |what: &str, expected: &[Summary]| {
        for round in ["first", "second"] {
            let vault = fixture.open();
            assert_eq!(vault.list(), expected, "{what}, {round} start");
            assert_eq!(serves(&vault, "b.example.com", &b), expected.len() == 2, "{what}, {round} start");
        }
    };

    fs::write(fixture.certs().join(format!(".{b_id}.pem.tmp")), "half").unwrap();
    fs::write(fixture.certs().join(".index.tmp"), "half").unwrap();
    fs::write(fixture.certs().join("notes.txt"), "not ours").unwrap();
    check("temporary files", &summaries);
    assert_eq!(fixture.files().len(), 4, "{:?}", fixture.files());
    fs::write(fixture.index(), &index_of_a).unwrap();
    check("a file without its line", &summaries);
    fs::write(fixture.index(), &index_of_both[..index_of_both.len() - 9]).unwrap();
    check("half a line", &summaries);
    for damage in [&b"\n"[..], b"{}\n", b"\xff\n", b"{\"index\":{\"version\":2}}\n", &index_of_both[9..]] {
        fs::write(fixture.index(), damage).unwrap();
        check("a damaged index", &summaries);
    }
    fs::remove_file(fixture.index()).unwrap();
    check("no index", &summaries);

    // Between the line that `b` is not to be believed and its new file, and between that and its new line.
    vault.journal().forget(b_id).unwrap();
    check("a line taken back", &summaries);
    fs::write(fixture.index(), &index_of_both).unwrap();
    let vault = fixture.open();
    vault.journal().forget(b_id).unwrap();
    let other = Summary { source: Source::Own, ..vault.summary(b_id).unwrap() };
    let sealed = vault.0.key.seal(&purpose(b_id), b.key_pem().as_bytes());
    vault.0.directory.write(b_id, &record::write_file(&other, &b, &sealed)).unwrap();
    check("a new file without its line", &[vault.summary(a_id).unwrap(), other]);

    fs::remove_file(fixture.file(b_id)).unwrap();
    check("a line without its file", &summaries[..1]);
    assert!(serves(&fixture.open(), "a.example.com", &a));
}

#[test]
fn a_damaged_file_is_passed_over() {
    let fixture = Fixture::new();
    let vault = fixture.open();
    let (exact, wildcard) = (fixture.chain(&["a.example.com"]), fixture.chain(&["*.example.com"]));
    let id = vault.put(&exact, acme()).unwrap();
    vault.put(&wildcard, acme()).unwrap();
    let good = fs::read_to_string(fixture.file(id)).unwrap();
    let key =
        good.split('"').nth(good.split('"').position(|part| part == "sealed-key").unwrap() + 2).unwrap();
    for damage in [String::new(), good[..good.len() / 2].to_owned(), good.replace(key, &key[4..])] {
        fs::write(fixture.file(id), &damage).unwrap();
        let vault = fixture.open();
        assert!(serves(&vault, "a.example.com", &wildcard));
        assert_ne!(vault.best("a.example.com").unwrap().id, id, "known by now");
        let before = reads(&vault);
        assert!(serves(&vault, "a.example.com", &wildcard));
        assert_eq!(reads(&vault), before, "tried once");
        // Bringing it again mends it.
        vault.put(&exact, acme()).unwrap();
        assert!(serves(&vault, "a.example.com", &exact));
    }
    // In the place of another's.
    fs::copy(fixture.file(CertificateId::of(wildcard.leaf())), fixture.file(id)).unwrap();
    let error = fixture.open().load(id).unwrap_err().to_string();
    assert!(error.starts_with(&format!("`{}` is damaged;", fixture.file(id).display())), "{error}");
}

#[test]
fn without_the_boxs_key_nothing_is_served_and_nothing_is_revealed() {
    let fixture = Fixture::new();
    let chain = fixture.chain(&["a.example.com"]);
    let id = fixture.open().put(&chain, Source::Own).unwrap();

    let stranger = fixture.open_with_key(2);
    assert!(stranger.find("a.example.com").is_none());
    // It is not told of as if it were good: an authority is asked for another one.
    assert_eq!(stranger.list(), []);
    assert!(matches!(stranger.load(id), Err(VaultError::Unknown { .. })));
    let other = fixture.chain(&["b.example.com"]);
    stranger.put(&other, acme()).unwrap();
    assert_eq!(fixture.open_with_key(2).list().len(), 1);
    assert!(serves(&fixture.open(), "a.example.com", &chain));

    let key = PrivateKeyDer::from_pem_slice(EC_PKCS8.as_bytes()).unwrap();
    let secret = &key.secret_der()[EC_SECRET];
    let mut needles = vec![secret[..16].to_vec(), secret[16..].to_vec()];
    // What base64 makes of bytes depends on where in a group of three they begin; its first and last digits, on what is around.
    for skip in 0..3 {
        let encoded = BASE64_STANDARD.encode(&secret[skip..skip + 24]);
        needles.extend([encoded.as_bytes()[..16].to_vec(), encoded.as_bytes()[16..].to_vec()]);
    }
    needles
        .extend(EC_PKCS8.lines().filter(|line| !line.starts_with('-')).map(|line| line.as_bytes().to_vec()));
    let holds = |bytes: &[u8], needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
    assert!(
        needles.iter().any(|needle| holds(EC_PKCS8.as_bytes(), needle)),
        "the search finds what is there"
    );
    for name in fixture.files() {
        let bytes = fs::read(fixture.certs().join(&name)).unwrap();
        for needle in &needles {
            assert!(!holds(&bytes, needle), "{name} has a part of the key");
        }
    }
    assert!(!format!("{:?}", fixture.open()).contains("key"));
}

#[test]
fn ten_thousand_certificates_cost_a_start_one_file() {
    let fixture = Fixture::new();
    let vault = fixture.open();
    let chain = fixture.chain(&["real.example.com"]);
    let real = vault.put(&chain, acme()).unwrap();
    let summary = vault.summary(real).unwrap();
    // What was not asked for is not read: those that are not real have empty files.
    let others = (1..MANY).map(|number| {
        let id = format!("{number:016x}").parse().unwrap();
        fs::write(fixture.file(id), "").unwrap();
        Summary { id, names: vec![format!("{number}.example.com")], ..summary.clone() }
    });
    let all: Vec<_> = others.chain([summary.clone()]).collect();
    vault.journal().rewrite(all.iter()).unwrap();

    let vault = fixture.open();
    assert_eq!(vault.list().len(), MANY);
    assert_eq!(vault.best("77.example.com").unwrap().names, ["77.example.com"]);
    assert_eq!((reads(&vault), vault.0.shelf.len()), (1, 0));
    assert!(serves(&vault, "real.example.com", &chain));
    assert_eq!(reads(&vault), 2);
    assert!(serves(&vault, "real.example.com", &chain));
    assert_eq!(reads(&vault), 2);
}

#[test]
fn keys_in_memory_are_bounded_and_the_unused_go_first() {
    let fixture = Fixture::new();
    let names = ["a", "b", "c", "d", "e"].map(|label| format!("{label}.example.com"));
    let vault = fixture.open();
    for name in &names {
        vault.put(&fixture.chain(&[name]), acme()).unwrap();
    }
    let vault = Vault::open_with(&fixture.certs(), BoxKey::new(&[1; 32]), 3).unwrap();
    let is_loaded = |name: &str| {
        let before = reads(&vault);
        vault.find(name).unwrap();
        reads(&vault) == before
    };
    for name in &names[..4] {
        assert!(!is_loaded(name));
    }
    assert_eq!(vault.0.shelf.len(), 3);
    assert!(!is_loaded(&names[0]), "it was the oldest when `d` came; and now `b` is");
    assert!(is_loaded(&names[2]), "and is spared for that");
    assert!(!is_loaded(&names[1]), "and now `d` goes");
    assert!(is_loaded(&names[2]) && !is_loaded(&names[3]));
    assert_eq!(vault.0.shelf.len(), 3);
    vault.remove(vault.best(&names[4]).unwrap().id).unwrap();
    assert!(vault.find(&names[4]).is_none());
}

#[test]
fn the_index_does_not_grow_without_end() {
    let fixture = Fixture::new();
    let (vault, chain) = (fixture.open(), fixture.chain(&["a.example.com"]));
    let lines = || fs::read_to_string(fixture.index()).unwrap().lines().count();
    let mut longest = 0;
    loop {
        vault.put(&chain, acme()).unwrap();
        if lines() < longest {
            break;
        }
        longest = lines();
    }
    assert!((100..300).contains(&longest), "{longest}");
    assert_eq!(lines(), 2);
    assert!(serves(&fixture.open(), "a.example.com", &chain));
}

#[test]
fn an_index_that_cannot_be_written_keeps_nothing_from_being_served() {
    let fixture = Fixture::new();
    let (a, b) = (fixture.chain(&["a.example.com"]), fixture.chain(&["b.example.com"]));
    fixture.open().put(&a, acme()).unwrap();
    // A full disk in the middle of a line, and still full at the next start.
    fs::write(fixture.index(), "{\"index\":{\"ver").unwrap();
    let in_the_way = fixture.certs().join(".index.tmp");
    fs::create_dir(&in_the_way).unwrap();
    let vault = fixture.open();
    assert!(serves(&vault, "a.example.com", &a));
    vault.put(&b, acme()).unwrap();
    for vault in [vault, fixture.open()] {
        assert!(serves(&vault, "a.example.com", &a) && serves(&vault, "b.example.com", &b));
    }
    // With room again the next change mends it, without a restart.
    let vault = fixture.open();
    fs::remove_dir(&in_the_way).unwrap();
    let c = fixture.chain(&["c.example.com"]);
    vault.put(&c, acme()).unwrap();
    let vault = fixture.open();
    assert_eq!(reads(&vault), 1, "the index alone");
    assert!(serves(&vault, "c.example.com", &c));
}

#[test]
fn handshakes_meanwhile_have_the_old_certificate_or_the_new() {
    let fixture = Fixture::new();
    let vault = fixture.open();
    let [old, new] =
        [30, 60].map(|days| fixture.authority.request(&["a.example.com"]).days(-1, days).issue().chain());
    let old_id = vault.put(&old, acme()).unwrap();
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            while !serves(&vault, "a.example.com", &new) {
                assert!(serves(&vault, "a.example.com", &old) || serves(&vault, "a.example.com", &new));
            }
        });
        vault.put(&new, acme()).unwrap();
        vault.remove(old_id).unwrap();
        asking.join().unwrap();
    });
    let later = vault.best("a.example.com").unwrap();
    assert!(later.is_valid(day(60) - DAY) && !later.is_valid(day(60)));
}

#[test]
fn files_of_the_first_version_are_read() {
    let fixture = Fixture::new();
    let old = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/certs/v1");
    fs::create_dir(fixture.certs()).unwrap();
    for file in fs::read_dir(old).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), fixture.certs().join(file.file_name())).unwrap();
    }
    let indexed = fixture.open();
    fs::remove_file(fixture.index()).unwrap();
    for vault in [&indexed, &fixture.open()] {
        assert_eq!(vault.list(), indexed.list());
        assert_eq!(vault.best("customer-0.example.com").unwrap().source, acme());
        vault.find("www.customer-0.example.com").unwrap().keys_match().unwrap();
    }
}
