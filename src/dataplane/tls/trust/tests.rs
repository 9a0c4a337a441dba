//! Trust stores of a machine in a directory, with stand-ins for the stores' tools; NSS's own `certutil`
//! as well, where it is installed.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use expect_test::{Expect, expect};

use super::*;
use crate::seal::BoxKey;
use crate::tls::LocalCa;

const DEBIAN: &str = "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\n";
const FEDORA: &str = "NAME=Rocky\nID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n";

struct Machine {
    dir: tempfile::TempDir,
    env: Environment,
    certificate: CaCertificate,
}

impl Machine {
    /// A machine with nothing but an `os-release`, used by root.
    fn bare(os_release: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (root, home) = (dir.path().join("root"), dir.path().join("home"));
        fs::create_dir_all(root.join("etc")).unwrap();
        fs::create_dir_all(&home).unwrap();
        fs::write(root.join("etc/os-release"), os_release).unwrap();
        let certificate = certificate_of(&dir.path().join("ca"));
        let env = Environment { root, home, owner: None, is_root: true, certutil: None, java_home: None };
        Self { dir, env, certificate }
    }

    /// Debian with `ca-certificates` and one public CA, and with `certutil`.
    fn debian() -> Self {
        let mut machine = Self::bare(DEBIAN).with_tool("usr/sbin/update-ca-certificates");
        let public = machine.env.root.join("usr/share/ca-certificates");
        fs::create_dir_all(&public).unwrap();
        fs::write(public.join("public.crt"), machine.other_certificate().pem()).unwrap();
        fs::write(machine.env.root.join("etc/ca-certificates.conf"), "public.crt\n").unwrap();
        machine.env.certutil = Some(fixture("certutil"));
        machine
    }

    /// Links a stand-in into the root. Links, since a copy that is still open for writing in a process
    /// forked by another test cannot be run.
    fn with_tool(self, path: &str) -> Self {
        let path = self.env.root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(fixture(path.file_name().unwrap().to_str().unwrap()), &path).unwrap();
        self
    }

    fn with_file(self, path: &str) -> Self {
        let path = self.env.root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
        self
    }

    /// A Java below the machine's own directory, with an empty key store.
    fn with_java(self, path: &str) -> Self {
        let path = self.dir.path().canonicalize().unwrap().join(path);
        fs::create_dir_all(path.join("bin")).unwrap();
        fs::create_dir_all(path.join("lib/security")).unwrap();
        fs::write(path.join("lib/security/cacerts"), "").unwrap();
        symlink(fixture("keytool"), path.join("bin/keytool")).unwrap();
        self
    }

    /// A database, of whatever browser.
    fn with_database(self, path: &str) -> Self {
        let path = self.env.home.join(path);
        fs::create_dir_all(&path).unwrap();
        fs::write(path.join("cert9.db"), "").unwrap();
        self
    }

    fn other_certificate(&self) -> CaCertificate {
        certificate_of(&self.dir.path().join("other-ca"))
    }

    fn anchor(&self) -> PathBuf {
        self.env.root.join(format!("usr/local/share/ca-certificates/{}.crt", self.certificate.label()))
    }

    fn bundle(&self) -> String {
        fs::read_to_string(self.env.root.join("etc/ssl/certs/ca-certificates.crt")).unwrap_or_default()
    }

    /// The outcomes as text, a line each, without what differs from run to run.
    fn printed(&self, outcomes: &[Outcome]) -> String {
        let mut text = String::new();
        for Outcome { store, change } in outcomes {
            let _ = match change {
                Change::Failed { error, hint } => writeln!(text, "{store}: Failed: {error}; {hint}"),
                Change::Skipped { reason, hint } => writeln!(text, "{store}: Skipped: {reason}; {hint}"),
                change => writeln!(text, "{store}: {change:?}"),
            };
        }
        text.replace(self.env.home.to_str().unwrap(), "~")
            .replace(self.env.root.to_str().unwrap(), "")
            .replace(self.certificate.id(), "<id>")
            .replace(fixture("").to_str().unwrap(), "")
    }

    fn check_trust(&self, expected: &Expect) {
        expected.assert_eq(&self.printed(&trust(&self.certificate, &self.env)));
    }

    fn check_untrust(&self, expected: &Expect) {
        expected.assert_eq(&self.printed(&untrust(&self.certificate, &self.env)));
    }

    fn check_status(&self, expected: &Expect) {
        expected.assert_eq(&self.printed(&status(&self.certificate, &self.env)));
    }
}

/// The certificate of a CA that is made in the directory.
fn certificate_of(dir: &Path) -> CaCertificate {
    LocalCa::open_or_create(dir, &BoxKey::new(&[7; 32]), &[]).unwrap().certificate().clone()
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/trust").join(name)
}

#[test]
fn what_is_put_in_can_be_taken_out_and_both_can_be_repeated() {
    let machine = Machine::debian()
        .with_database(".mozilla/firefox/abc.default")
        .with_database("snap/firefox/common/.mozilla/firefox/def.default");
    machine.check_status(&expect![[r#"
        system store (Debian): NotThere
        Chromium (~/.pki/nssdb): NotThere
        Firefox (~/.mozilla/firefox/abc.default): NotThere
        Firefox (~/snap/firefox/common/.mozilla/firefox/def.default): NotThere
    "#]]);
    machine.check_trust(&expect![[r#"
        system store (Debian): Installed
        Chromium (~/.pki/nssdb): Installed
        Firefox (~/.mozilla/firefox/abc.default): Installed
        Firefox (~/snap/firefox/common/.mozilla/firefox/def.default): Installed
    "#]]);
    assert_eq!(fs::read_to_string(machine.anchor()).unwrap(), machine.certificate.pem());
    machine.check_trust(&expect![[r#"
        system store (Debian): AlreadyThere
        Chromium (~/.pki/nssdb): AlreadyThere
        Firefox (~/.mozilla/firefox/abc.default): AlreadyThere
        Firefox (~/snap/firefox/common/.mozilla/firefox/def.default): AlreadyThere
    "#]]);
    machine.check_status(&expect![[r#"
        system store (Debian): AlreadyThere
        Chromium (~/.pki/nssdb): AlreadyThere
        Firefox (~/.mozilla/firefox/abc.default): AlreadyThere
        Firefox (~/snap/firefox/common/.mozilla/firefox/def.default): AlreadyThere
    "#]]);
    machine.check_untrust(&expect![[r#"
        system store (Debian): Removed
        Chromium (~/.pki/nssdb): Removed
        Firefox (~/.mozilla/firefox/abc.default): Removed
        Firefox (~/snap/firefox/common/.mozilla/firefox/def.default): Removed
    "#]]);
    assert!(!machine.anchor().exists());
    machine.check_untrust(&expect![[r#"
        system store (Debian): NotThere
        Chromium (~/.pki/nssdb): NotThere
        Firefox (~/.mozilla/firefox/abc.default): NotThere
        Firefox (~/snap/firefox/common/.mozilla/firefox/def.default): NotThere
    "#]]);
    let calls = fs::read_to_string(machine.env.root.join("etc/calls")).unwrap();
    assert_eq!(calls, format!("added\nremoved {}.crt\n", machine.certificate.label()));
}

#[test]
fn other_certificates_are_left_alone() {
    let machine = Machine::debian();
    let other = machine.other_certificate();
    trust(&other, &machine.env);
    let before = machine.bundle();
    trust(&machine.certificate, &machine.env);
    assert!(machine.bundle().contains(machine.certificate.pem()));
    untrust(&machine.certificate, &machine.env);
    assert_eq!(machine.bundle(), before);
    let of_other = status(&other, &machine.env);
    assert!(of_other.iter().all(|outcome| matches!(outcome.change, Change::AlreadyThere)), "{of_other:?}");
}

#[test]
fn fedora_and_its_kin_have_their_own_paths() {
    let machine = Machine::bare(FEDORA).with_tool("usr/bin/update-ca-trust");
    machine.check_trust(&expect![[r#"
        system store (Fedora): Installed
        Chromium (~/.pki/nssdb): Skipped: `certutil` is not installed; install it with `dnf install nss-tools`
    "#]]);
    let anchor = format!("etc/pki/ca-trust/source/anchors/{}.crt", machine.certificate.label());
    assert!(machine.env.root.join(anchor).exists());
    machine.check_untrust(&expect![[r#"
        system store (Fedora): Removed
        Chromium (~/.pki/nssdb): NotThere
    "#]]);
}

#[test]
fn opensuse_has_its_own_paths() {
    let machine = Machine::bare("ID=\"opensuse-tumbleweed\"\nID_LIKE=\"opensuse suse\"\n")
        .with_tool("usr/sbin/update-ca-certificates");
    machine.check_status(&expect![[r#"
        system store (openSUSE): NotThere
        Chromium (~/.pki/nssdb): NotThere
    "#]]);
    trust(&machine.certificate, &machine.env);
    let anchor = format!("etc/pki/trust/anchors/{}.crt", machine.certificate.label());
    assert!(machine.env.root.join(anchor).exists());
}

#[test]
fn macos_has_a_keychain_and_nothing_of_chromium() {
    let machine =
        Machine::bare("").with_tool("usr/bin/security").with_file("Library/Keychains/System.keychain");
    fs::create_dir_all(machine.env.root.join("var/run")).unwrap();
    machine.check_status(&expect!["keychain (macOS): NotThere\n"]);
    machine.check_trust(&expect!["keychain (macOS): Installed\n"]);
    machine.check_trust(&expect!["keychain (macOS): AlreadyThere\n"]);
    // Somebody took the trust away and left the certificate.
    fs::write(machine.env.root.join("Library/Keychains/settings"), "").unwrap();
    machine.check_status(&expect!["keychain (macOS): NotThere\n"]);
    machine.check_untrust(&expect!["keychain (macOS): Removed\n"]);
    machine.check_untrust(&expect!["keychain (macOS): NotThere\n"]);
    assert_eq!(fs::read_dir(machine.env.root.join("var/run")).unwrap().count(), 0);
}

#[test]
fn javas_with_a_key_store_of_their_own_are_found_once() {
    let mut machine = Machine::debian()
        .with_java("root/usr/lib/jvm/temurin-25")
        .with_java("root/usr/lib/jvm/debian-17")
        .with_java("home/.sdkman/candidates/java/21");
    // As Debian's is: a link to what the system's own update writes.
    let of_debian = machine.env.root.join("usr/lib/jvm/debian-17/lib/security/cacerts");
    fs::create_dir_all(machine.env.root.join("etc/ssl/certs/java")).unwrap();
    fs::rename(&of_debian, machine.env.root.join("etc/ssl/certs/java/cacerts")).unwrap();
    symlink(machine.env.root.join("etc/ssl/certs/java/cacerts"), of_debian).unwrap();
    symlink("21", machine.env.home.join(".sdkman/candidates/java/current")).unwrap();
    machine.check_trust(&expect![[r#"
        system store (Debian): Installed
        Chromium (~/.pki/nssdb): Installed
        Java (/usr/lib/jvm/temurin-25/lib/security/cacerts): Installed
        Java (~/.sdkman/candidates/java/21/lib/security/cacerts): Installed
    "#]]);
    machine.env.is_root = false;
    machine.check_untrust(&expect![[r#"
        system store (Debian): Skipped: only root may change it; run the same command with `sudo`
        Chromium (~/.pki/nssdb): Removed
        Java (/usr/lib/jvm/temurin-25/lib/security/cacerts): Skipped: only root may change it; run the same command with `sudo`
        Java (~/.sdkman/candidates/java/21/lib/security/cacerts): Removed
    "#]]);
    machine.env.java_home = Some(machine.env.root.join("usr/lib/jvm/temurin-25"));
    machine.check_status(&expect![[r#"
        system store (Debian): AlreadyThere
        Chromium (~/.pki/nssdb): NotThere
        Java (/usr/lib/jvm/temurin-25/lib/security/cacerts): AlreadyThere
        Java (~/.sdkman/candidates/java/21/lib/security/cacerts): NotThere
    "#]]);
}

#[test]
fn chromiums_newer_database_keeps_the_older_one_from_being_made() {
    let machine = Machine::debian()
        .with_database(".local/share/pki/nssdb")
        .with_database(".var/app/org.chromium.Chromium/.pki/nssdb");
    machine.check_trust(&expect![[r#"
        system store (Debian): Installed
        Chromium (~/.local/share/pki/nssdb): Installed
        Chromium (~/.var/app/org.chromium.Chromium/.pki/nssdb): Installed
    "#]]);
}

#[test]
fn each_distribution_is_known_by_its_os_release() {
    for (os_release, expected) in [
        ("ID=ubuntu\nID_LIKE=debian\n", Some("system store (Debian)")),
        ("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n", Some("system store (Debian)")),
        ("ID=alpine\n", Some("system store (Alpine)")),
        ("ID=fedora\n", Some("system store (Fedora)")),
        ("ID=manjaro\nID_LIKE=arch\n", Some("system store (Arch)")),
        ("ID=\"opensuse-leap\"\nID_LIKE=\"suse opensuse\"\n", Some("system store (openSUSE)")),
        ("VARIANT_ID=debian\nID=nixos\n", None),
    ] {
        let machine = Machine::bare(os_release);
        let system = SystemStore::detect(&machine.env).map(|store| store.to_string());
        assert_eq!(system.as_deref(), expected, "{os_release}");
    }
}

#[test]
fn missing_tools_are_named_with_what_to_type() {
    let machine = Machine::bare(DEBIAN).with_database(".mozilla/firefox/abc.default");
    machine.check_trust(&expect![[r#"
        system store (Debian): Skipped: `update-ca-certificates` is not installed; install it with `apt-get install ca-certificates`
        Chromium (~/.pki/nssdb): Skipped: `certutil` is not installed; install it with `apt-get install libnss3-tools`
        Firefox (~/.mozilla/firefox/abc.default): Skipped: `certutil` is not installed; install it with `apt-get install libnss3-tools`
    "#]]);
    machine.check_untrust(&expect![[r#"
        system store (Debian): NotThere
        Chromium (~/.pki/nssdb): NotThere
        Firefox (~/.mozilla/firefox/abc.default): Skipped: `certutil` is not installed; install it with `apt-get install libnss3-tools`
    "#]]);
    let machine = Machine::bare(FEDORA);
    machine.check_trust(&expect![[r#"
        system store (Fedora): Skipped: `update-ca-trust` is not installed; install it with `dnf install ca-certificates`
        Chromium (~/.pki/nssdb): Skipped: `certutil` is not installed; install it with `dnf install nss-tools`
    "#]]);
    let machine = Machine::bare("ID=nixos\n");
    machine.check_trust(&expect![[r#"
        Chromium (~/.pki/nssdb): Skipped: `certutil` is not installed; install the tools of NSS, Mozilla's security library
    "#]]);
}

#[test]
fn others_than_root_can_look_and_are_told_how_to_change() {
    let mut machine = Machine::debian();
    machine.env.is_root = false;
    machine.check_trust(&expect![[r#"
        system store (Debian): Skipped: only root may change it; run the same command with `sudo`
        Chromium (~/.pki/nssdb): Installed
    "#]]);
    assert!(!machine.anchor().exists());
    machine.env.is_root = true;
    trust(&machine.certificate, &machine.env);
    machine.env.is_root = false;
    machine.check_trust(&expect![[r#"
        system store (Debian): AlreadyThere
        Chromium (~/.pki/nssdb): AlreadyThere
    "#]]);
    machine.check_untrust(&expect![[r#"
        system store (Debian): Skipped: only root may change it; run the same command with `sudo`
        Chromium (~/.pki/nssdb): Removed
    "#]]);
    assert!(machine.anchor().exists());
}

#[test]
fn an_interrupted_change_is_seen_and_finished() {
    let machine = Machine::debian();
    fs::create_dir_all(machine.anchor().parent().unwrap()).unwrap();
    // Killed between the file and the tool, on the way in and on the way out.
    fs::write(machine.anchor(), machine.certificate.pem()).unwrap();
    machine.check_status(&expect![[r#"
        system store (Debian): NotThere
        Chromium (~/.pki/nssdb): NotThere
    "#]]);
    machine.check_trust(&expect![[r#"
        system store (Debian): Installed
        Chromium (~/.pki/nssdb): Installed
    "#]]);
    fs::remove_file(machine.anchor()).unwrap();
    machine.check_untrust(&expect![[r#"
        system store (Debian): Removed
        Chromium (~/.pki/nssdb): Removed
    "#]]);
    assert!(!machine.bundle().contains(machine.certificate.pem()));
}

#[test]
fn a_tool_that_does_nothing_is_not_believed() {
    let machine = Machine::debian();
    let broken = machine.env.root.join("etc/broken");
    fs::write(&broken, "").unwrap();
    machine.check_trust(&expect![[r#"
        system store (Debian): Failed: the store was updated and still does not trust `minipaas-<id>`; see what `update-ca-certificates` says when root runs it; the certificate's file is in `/usr/local/share/ca-certificates`
        Chromium (~/.pki/nssdb): Installed
    "#]]);
    fs::remove_file(&broken).unwrap();
    trust(&machine.certificate, &machine.env);
    fs::write(&broken, "").unwrap();
    machine.check_untrust(&expect![[r#"
        system store (Debian): Failed: the store was updated and still trusts `minipaas-<id>`; see what `update-ca-certificates` says when root runs it; the certificate's file is in `/usr/local/share/ca-certificates`
        Chromium (~/.pki/nssdb): Removed
    "#]]);
}

#[test]
fn a_failing_store_does_not_keep_the_others_from_being_done() {
    let machine =
        Machine::debian().with_database(".mozilla/firefox/a.locked").with_database(".mozilla/firefox/b.open");
    fs::write(machine.env.home.join(".mozilla/firefox/a.locked/password"), "").unwrap();
    machine.check_trust(&expect![[r#"
        system store (Debian): Installed
        Chromium (~/.pki/nssdb): Installed
        Firefox (~/.mozilla/firefox/a.locked): Failed: `certutil` failed: certutil: SEC_ERROR_BAD_PASSWORD; if the database has a primary password, do it at `about:preferences#privacy` in the browser
        Firefox (~/.mozilla/firefox/b.open): Installed
    "#]]);
}

/// A machine with NSS's own `certutil` and a Firefox profile; `None` where it is not installed.
fn machine_with_nss(password: &str) -> Option<Machine> {
    let mut machine = Machine::bare("ID=nixos\n");
    machine.env.certutil = Some(Environment::detect().certutil?);
    let directory = machine.env.home.join(".mozilla/firefox/a b.default");
    fs::create_dir_all(&directory).unwrap();
    let password_file = machine.dir.path().join("password");
    fs::write(&password_file, password).unwrap();
    let mut command = Command::new(machine.env.certutil.as_ref().unwrap());
    command.arg("-N").arg("-d").arg(format!("sql:{}", directory.display()));
    match password {
        "" => command.arg("--empty-password"),
        _ => command.arg("-f").arg(password_file),
    };
    tool::run(&mut command, b"").unwrap();
    Some(machine)
}

#[test]
fn nss_itself_agrees() {
    let Some(machine) = machine_with_nss("") else { return };
    machine.check_trust(&expect![[r#"
        Chromium (~/.pki/nssdb): Installed
        Firefox (~/.mozilla/firefox/a b.default): Installed
    "#]]);
    machine.check_trust(&expect![[r#"
        Chromium (~/.pki/nssdb): AlreadyThere
        Firefox (~/.mozilla/firefox/a b.default): AlreadyThere
    "#]]);
    machine.check_untrust(&expect![[r#"
        Chromium (~/.pki/nssdb): Removed
        Firefox (~/.mozilla/firefox/a b.default): Removed
    "#]]);
    machine.check_untrust(&expect![[r#"
        Chromium (~/.pki/nssdb): NotThere
        Firefox (~/.mozilla/firefox/a b.default): NotThere
    "#]]);
}

#[test]
fn a_database_with_a_primary_password_is_left_as_it_was() {
    let Some(machine) = machine_with_nss("secret") else { return };
    let outcome = trust(&machine.certificate, &machine.env).pop().unwrap();
    assert!(matches!(outcome.change, Change::Failed { error: TrustError::Tool { .. }, .. }), "{outcome:?}");
    machine.check_untrust(&expect![[r#"
        Chromium (~/.pki/nssdb): Removed
        Firefox (~/.mozilla/firefox/a b.default): NotThere
    "#]]);
}
