//! A CA in a temporary folder: made once, private, and trusted by OpenSSL.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::thread;

use rustls::client::danger::ServerCertVerifier as _;
use rustls::pki_types::pem::PemObject as _;

use super::files::{CERTIFICATE_FILE, KEY_FILE};
use super::leaf::{CLOCK_SKEW, LIFETIME as LEAF_LIFETIME};
use super::*;
use crate::tls::CertificateError;

/// The box's key in these tests.
fn box_key() -> BoxKey {
    BoxKey::new(&[7; 32])
}

fn open(dir: &Path) -> Result<LocalCa, CaError> {
    LocalCa::open_or_create(dir, &box_key(), &["apps.example.com"])
}

fn new_ca() -> (tempfile::TempDir, LocalCa) {
    let dir = tempfile::tempdir().unwrap();
    let ca = open(dir.path()).unwrap();
    (dir, ca)
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// What opening the CA in `dir` fails with.
fn refusal(dir: &Path) -> String {
    open(dir).unwrap_err().to_string()
}

/// `openssl` with the arguments, its output and success; `None` on a machine without it.
fn openssl(arguments: &[&str]) -> Option<(String, bool)> {
    let output = Command::new("openssl").args(arguments).output().ok()?;
    Some((
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned(),
        output.status.success(),
    ))
}

/// Writes a leaf's certificate as DER for `openssl`, and returns its path.
fn leaf_file(dir: &Path, leaf: &Leaf) -> String {
    let path = dir.join("leaf.der");
    fs::write(&path, &leaf.certified.cert[0]).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn the_pair_is_made_once() {
    let (dir, ca) = new_ca();
    let again = open(dir.path()).unwrap();
    assert_eq!(again.certificate(), ca.certificate());
    assert_eq!(ca.certificate_pem(), fs::read_to_string(dir.path().join("ca.crt")).unwrap());
    let names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
}

#[test]
fn only_the_owner_can_read_the_key() {
    let (dir, _ca) = new_ca();
    assert_eq!(mode(&dir.path().join("ca.key")), 0o600);
    assert_eq!(mode(&dir.path().join("ca.crt")), 0o644);
}

#[test]
fn an_open_key_is_made_private_again() {
    let (dir, _ca) = new_ca();
    let key = dir.path().join("ca.key");
    fs::set_permissions(&key, Permissions::from_mode(0o644)).unwrap();
    open(dir.path()).unwrap();
    assert_eq!(mode(&key), 0o600);
}

#[test]
fn every_box_has_a_ca_of_its_own_name_and_id() {
    let ((_a, a), (_b, b)) = (new_ca(), new_ca());
    assert_ne!(a.certificate().id(), b.certificate().id());
    assert_ne!(a.fingerprint(), b.fingerprint());
}

#[test]
fn all_that_open_an_empty_directory_at_once_get_one_ca() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("state/ca");
    let fingerprints: Vec<String> = thread::scope(|scope| {
        let opened = || open(&dir).unwrap().fingerprint();
        let threads: Vec<_> = (0..16).map(|_| scope.spawn(opened)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(fingerprints.iter().all(|fingerprint| *fingerprint == fingerprints[0]));
}

#[test]
fn a_ca_that_was_killed_before_the_certificate_was_written_starts_anew() {
    let (dir, before) = new_ca();
    fs::remove_file(dir.path().join("ca.crt")).unwrap();
    fs::write(dir.path().join(".ca.crt.tmp"), "-----BEGIN CERTIF").unwrap();
    let after = open(dir.path()).unwrap();
    assert_ne!(after.certificate().id(), before.certificate().id());
    assert!(!dir.path().join(".ca.crt.tmp").exists());
    assert_eq!(open(dir.path()).unwrap().fingerprint(), after.fingerprint());
}

#[test]
fn a_broken_pair_is_refused_with_its_file_and_what_to_do() {
    let (dir, _ca) = new_ca();
    let (other_dir, _other) = new_ca();
    let (certificate, key) = (dir.path().join(CERTIFICATE_FILE), dir.path().join(KEY_FILE));
    let good = (fs::read(&certificate).unwrap(), fs::read(&key).unwrap());
    let check = |expected: &str| {
        let refusal = refusal(dir.path());
        assert!(refusal.starts_with(expected), "{refusal}");
        assert!(refusal.contains("restore it from a backup, or remove `ca.crt` and `ca.key`"), "{refusal}");
        fs::write(&certificate, &good.0).unwrap();
        fs::write(&key, &good.1).unwrap();
        open(dir.path()).unwrap();
    };

    for damage in [b"".as_slice(), &good.0[..good.0.len() / 2], &good.1, b"\xff\xfe"] {
        fs::write(&certificate, damage).unwrap();
        check(&format!("`{}` is damaged", certificate.display()));
    }
    for damage in [b"".as_slice(), &good.0, b"\xff\xfe", b"-----BEGIN PRIVATE KEY-----"] {
        fs::write(&key, damage).unwrap();
        check(&format!("`{}` is damaged", key.display()));
    }
    let of_another_box = BoxKey::new(&[8; 32]);
    let other_box = tempfile::tempdir().unwrap();
    LocalCa::open_or_create(other_box.path(), &of_another_box, &[]).unwrap();
    for sealed in [&good.1[..good.1.len() / 2], &fs::read(other_box.path().join(KEY_FILE)).unwrap()] {
        fs::write(&key, sealed).unwrap();
        check(&format!("`{}` is sealed with another key", key.display()));
    }
    fs::copy(other_dir.path().join("ca.key"), &key).unwrap();
    check(&format!("`{}` is not the key of `ca.crt`", key.display()));
    fs::remove_file(&key).unwrap();
    check(&format!("`{}` is missing and `ca.crt` is there", key.display()));
}

/// As earlier versions left it: the key in plain PEM, which is returned.
fn unseal(dir: &Path, ca: &LocalCa) -> String {
    let pem = ca.issuer.key().serialize_pem();
    fs::write(dir.join(KEY_FILE), &pem).unwrap();
    pem
}

#[test]
fn the_key_on_disk_is_sealed() {
    let (dir, ca) = new_ca();
    let sealed = fs::read(dir.path().join(KEY_FILE)).unwrap();
    assert!(sealed.starts_with(b"minipaas sealed key 1\n"));
    let der = ca.issuer.key().serialized_der();
    // The private scalar of a P-256 key in PKCS #8.
    assert!(!sealed.windows(32).any(|window| window == &der[36..68]));
    assert!(!String::from_utf8_lossy(&sealed).contains("PRIVATE KEY"));
}

#[test]
fn a_plain_key_of_an_earlier_version_is_sealed_and_goes_on() {
    let (dir, ca) = new_ca();
    let pem = unseal(dir.path(), &ca);
    // Killed while it was being sealed.
    fs::write(dir.path().join(".ca.key.tmp"), "half").unwrap();
    let after = open(dir.path()).unwrap();
    assert_eq!(after.fingerprint(), ca.fingerprint());
    let contents = fs::read(dir.path().join(KEY_FILE)).unwrap();
    assert!(!String::from_utf8_lossy(&contents).contains(pem.lines().nth(1).unwrap()));
    assert_eq!(mode(&dir.path().join(KEY_FILE)), 0o600);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    assert_eq!(open(dir.path()).unwrap().fingerprint(), ca.fingerprint());
}

#[test]
fn no_key_shows_in_debug_or_in_an_error() {
    let (dir, ca) = new_ca();
    let pem = unseal(dir.path(), &ca);
    let secret = pem.lines().nth(1).unwrap();
    let leaf = ca.leaf("blog.localhost").unwrap();
    let leaf_secret = format!("{:?}", &ca.leaf_key.serialized_der()[..16]);
    // A header line, which the PEM parser would quote.
    fs::write(dir.path().join(KEY_FILE), pem.replace(secret, &format!("key: {secret}"))).unwrap();
    let error = open(dir.path()).unwrap_err();
    for shown in [format!("{ca:?} {leaf:?} {:?}", leaf.certified.key), format!("{error} {error:?}")] {
        assert!(!shown.contains(secret) && !shown.contains(leaf_secret.trim_matches(['[', ']'])), "{shown}");
    }
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    let path = dir.path().join("file/ca");
    let refusal = refusal(&path);
    assert!(refusal.contains(path.to_str().unwrap()), "{refusal}");
}

#[test]
fn leaves_share_a_key_and_no_serial_number() {
    let (dir, ca) = new_ca();
    let [a, b] = ["a.localhost", "b.localhost"].map(|host| ca.leaf(host).unwrap());
    assert!(Arc::ptr_eq(&a.certified.key, &b.certified.key));
    a.certified.keys_match().unwrap();
    let serial = |leaf| {
        let file = leaf_file(dir.path(), leaf);
        openssl(&["x509", "-inform", "DER", "-in", &file, "-noout", "-serial"])
    };
    if let (Some(a), Some(b)) = (serial(&a), serial(&b)) {
        assert!(a.1 && b.1 && a.0 != b.0, "{a:?} {b:?}");
    }
}

#[test]
fn leaves_are_short_lived_and_backdated() {
    let (_dir, ca) = new_ca();
    let now = SystemTime::now();
    let leaf = ca.leaf_at("blog.localhost", now).unwrap();
    assert_eq!(leaf.not_before, now - CLOCK_SKEW);
    assert_eq!(leaf.not_after, now + LEAF_LIFETIME);
    assert!(leaf.is_fresh(now) && leaf.is_fresh(now + DAY * 19));
    assert!(!leaf.is_fresh(now + DAY * 20) && leaf.is_valid(now + DAY * 20));
    assert!(!leaf.is_valid(now + DAY * 30));
    assert!(!leaf.is_fresh(now - DAY), "the clock was wrong when it was made");
}

#[test]
fn hosts_that_no_certificate_can_name_are_refused() {
    let (_dir, ca) = new_ca();
    for host in ["", ".", "*.", "*", "a b", "a..b", "-.", "blog.localhost.", "*.*.localhost", "ü.localhost"]
    {
        match ca.leaf(host) {
            Err(CaError::Host { host: named }) => assert_eq!(named, host),
            other => panic!("{host}: {other:?}"),
        }
    }
}

#[test]
fn openssl_accepts_what_is_signed_for_each_kind_of_host() {
    let (dir, ca) = new_ca();
    let root = dir.path().join("ca.crt").to_str().unwrap().to_owned();
    let long = format!("{}.{}.localhost", "a".repeat(63), "b".repeat(63));
    let cases: [(&str, &str, &str); 5] = [
        ("blog.localhost", "-verify_hostname", "blog.localhost"),
        ("*.blog.localhost", "-verify_hostname", "pr-7.blog.localhost"),
        (&long, "-verify_hostname", &long),
        ("192.168.7.9", "-verify_ip", "192.168.7.9"),
        ("fd00::1", "-verify_ip", "fd00::1"),
    ];
    for (host, option, name) in cases {
        let file = leaf_file(dir.path(), &ca.leaf(host).unwrap());
        let verify = |name| {
            // Strict: every rule of RFC 5280 that OpenSSL knows, key identifiers included.
            openssl(&[
                "verify",
                "-x509_strict",
                "-purpose",
                "sslserver",
                "-CAfile",
                &root,
                option,
                name,
                &file,
            ])
        };
        let Some((output, is_good)) = verify(name) else { return };
        assert!(is_good, "{host}: {output}");
        let (output, is_good) =
            verify(if option == "-verify_ip" { "10.0.0.1" } else { "shop.localhost" }).unwrap();
        assert!(!is_good, "{host}: {output}");
    }
}

#[test]
fn clients_accept_what_the_constraints_permit_and_nothing_else() {
    let (dir, ca) = new_ca();
    let constraints = ca.certificate().constraints().unwrap();
    assert_eq!(constraints, Constraints::of_box(&["apps.example.com"], &addresses::of_machine()));
    assert!(!ca.certificate().permits("example.com") && ca.certificate().permits("shop.apps.example.com"));
    let root = dir.path().join(CERTIFICATE_FILE).to_str().unwrap().to_owned();
    for (host, is_permitted) in [
        ("localhost", true),
        ("blog.localhost", true),
        ("*.blog.localhost", true),
        ("nas.lan", true),
        ("apps.example.com", true),
        ("*.apps.example.com", true),
        ("10.1.2.3", true),
        ("127.0.0.1", true),
        ("::1", true),
        ("fd00::1", true),
        ("example.com", false),
        ("*.example.com", false),
        ("badapps.example.com", false),
        ("www.bank.com", false),
        ("192.0.2.1", false),
        ("2001:db8::1", false),
    ] {
        assert_eq!(ca.certificate().permits(host), is_permitted, "{host}");
        let leaf = ca.leaf(host).unwrap();
        let name = host.replace('*', "any");
        assert_eq!(rustls_accepts(&ca, &leaf, &name), is_permitted, "rustls: {host}");
        let file = leaf_file(dir.path(), &leaf);
        let arguments = ["verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", &root, &file];
        if let Some((output, is_good)) = openssl(&arguments) {
            assert_eq!(is_good, is_permitted, "openssl: {host}: {output}");
            assert!(is_good || output.contains("permitted subtree violation"), "{host}: {output}");
        }
    }
}

/// Whether a client of rustls that trusts the CA accepts the leaf for this name.
fn rustls_accepts(ca: &LocalCa, leaf: &Leaf, name: &str) -> bool {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(ca.certificate().der().clone()).unwrap();
    let provider = Arc::new(ring::default_provider());
    let verifier = rustls::client::WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
    let name = rustls::pki_types::ServerName::try_from(name.to_owned()).unwrap();
    let now = rustls::pki_types::UnixTime::now();
    verifier.build().unwrap().verify_server_cert(&leaf.certified.cert[0], &[], &name, &[], now).is_ok()
}

#[test]
fn a_ca_of_an_earlier_version_stays_and_may_sign_for_anything() {
    let dir = tempfile::tempdir().unwrap();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let pem = params.self_signed(&key).unwrap().pem();
    fs::write(dir.path().join(CERTIFICATE_FILE), &pem).unwrap();
    fs::write(dir.path().join(KEY_FILE), key.serialize_pem()).unwrap();
    let ca = open(dir.path()).unwrap();
    assert_eq!(fs::read_to_string(dir.path().join(CERTIFICATE_FILE)).unwrap(), pem);
    assert_eq!(ca.certificate().constraints(), None);
    assert!(ca.certificate().permits("www.bank.com"));
}

#[test]
fn the_root_may_sign_leaves_and_nothing_below_them() {
    let (dir, ca) = new_ca();
    let root = dir.path().join("ca.crt").to_str().unwrap().to_owned();
    let Some((text, true)) = openssl(&["x509", "-in", &root, "-noout", "-text", "-fingerprint", "-sha256"])
    else {
        return;
    };
    for expected in [
        &format!("CN = minipaas local CA ({}) {}", hostname(), ca.certificate().id()),
        "CA:TRUE, pathlen:0",
        "Name Constraints: critical",
        "Certificate Sign, CRL Sign",
        "prime256v1",
        &format!("Fingerprint={}", ca.fingerprint()),
    ] {
        assert!(text.contains(expected), "no `{expected}` in {text}");
    }
}

#[test]
fn one_certificate_is_read_and_what_is_around_it_is_dropped() {
    let (_dir, ca) = new_ca();
    let pem = ca.certificate_pem();
    let read = CaCertificate::from_pem(&format!("# the box\n{pem}\ntrailing\n")).unwrap();
    assert_eq!(&read, ca.certificate());
    assert_eq!(read.der(), &CertificateDer::from_pem_slice(pem.as_bytes()).unwrap());
    assert_eq!(CaCertificate::from_pem(""), Err(CertificateError::Count { found: 0 }));
    assert_eq!(CaCertificate::from_pem(&pem.repeat(2)), Err(CertificateError::Count { found: 2 }));
    let not_a_certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(matches!(CaCertificate::from_pem(not_a_certificate), Err(CertificateError::NotACertificate(_))));
}
