//! No value gets out but as it is meant to.

use std::path::Path;
use std::process::Command;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use tempfile::TempDir;

use super::*;
use crate::export::Comment;
use crate::export::format::{Format, files, stream};

const VALUES: [(&str, &str); 2] =
    [("DATABASE_URL", "postgres://a:hunter2@db/shop"), ("KEY", "s3cr3t\nwords")];

fn export() -> Export {
    let data: Map<_, _> =
        VALUES.iter().map(|(key, value)| ((*key).to_owned(), STANDARD.encode(value).into())).collect();
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque", "data": data,
        "metadata": {"name": "shop", "labels": {"app.kubernetes.io/name": "shop"}},
    });
    let comment = Comment { at: "/data/KEY".to_owned(), text: "looks like one".to_owned() };
    let app = "shop".parse().unwrap();
    Export {
        objects: vec![Object { app: Some(app), value: secret, comments: vec![comment] }],
        notes: Vec::new(),
    }
}

fn handed_over(secrets: SecretMode) -> Export {
    let options = Options { namespace: Some("prod".to_owned()), secrets, ..Options::default() };
    hand_over(export(), &options).unwrap()
}

/// A key and a certificate of it, made by openssl.
struct Keys {
    folder: TempDir,
}

impl Keys {
    fn new(kind: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let keys = Self { folder };
        let subject = "/CN=sealed-secrets";
        let args = ["req", "-x509", "-newkey", kind, "-nodes", "-keyout", "key.pem", "-out", "cert.pem"];
        keys.openssl(args.into_iter().chain(["-days", "10", "-subj", subject]));
        keys
    }

    fn certificate(&self) -> String {
        std::fs::read_to_string(self.path().join("cert.pem")).unwrap()
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn openssl<'a>(&self, args: impl IntoIterator<Item = &'a str>) {
        let done = Command::new("openssl").args(args).current_dir(self.path()).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    /// As the controller opens it.
    fn open(&self, sealed: &[u8], label: &str) -> Option<Vec<u8>> {
        let length = usize::from(u16::from_be_bytes([sealed[0], sealed[1]]));
        let (wrapped, rest) = sealed[2..].split_at(length);
        std::fs::write(self.path().join("wrapped"), wrapped).unwrap();
        let label = format!("rsa_oaep_label:{}", crate::hex::encode(label.as_bytes()));
        let options = ["rsa_padding_mode:oaep", "rsa_oaep_md:sha256", "rsa_mgf1_md:sha256", &label];
        let options = options.iter().flat_map(|option| ["-pkeyopt", option]);
        let args = ["pkeyutl", "-decrypt", "-inkey", "key.pem", "-in", "wrapped", "-out", "opened"];
        let done =
            Command::new("openssl").args(args).args(options).current_dir(self.path()).output().unwrap();
        let key = done.status.success().then(|| std::fs::read(self.path().join("opened")).unwrap())?;
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key).ok()?);
        let mut rest = rest.to_vec();
        let nonce = Nonce::assume_unique_for_key([0; 12]);
        key.open_in_place(nonce, Aad::empty(), &mut rest).ok().map(|opened| opened.to_vec())
    }
}

#[test]
fn what_is_sealed_opens_with_the_key_and_in_its_place_alone() {
    let keys = Keys::new("rsa:2048");
    let sealed = handed_over(SecretMode::Sealed(keys.certificate()));
    let object = &sealed.objects[0].value;
    assert_eq!((&object["kind"], &object["metadata"]["namespace"]), (&"SealedSecret".into(), &"prod".into()));
    assert_eq!(object["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/name"], "shop");
    assert_eq!(sealed.objects[0].comments[0].at, "/spec/encryptedData/KEY");
    for (key, value) in VALUES {
        let text = object["spec"]["encryptedData"][key].as_str().unwrap();
        let bytes = STANDARD.decode(text).unwrap();
        assert_eq!(keys.open(&bytes, "prod/shop").as_deref(), Some(value.as_bytes()));
        assert_eq!(keys.open(&bytes, "prod/other"), None, "it is for one Secret");
    }
}

#[test]
fn nothing_is_sealed_with_another_kind_of_key_or_for_nowhere() {
    assert_eq!(Certificate::from_pem("hello"), Err(CertificateError::Missing));
    let short = Keys::new("rsa:1024").certificate();
    assert_eq!(Certificate::from_pem(&short), Err(CertificateError::Short(1024)));
    let other = Keys::new("ed25519").certificate();
    assert_eq!(Certificate::from_pem(&other), Err(CertificateError::NotRsa));
    let good = Keys::new("rsa:2048").certificate();
    let options = Options { secrets: SecretMode::Sealed(good), ..Options::default() };
    assert_eq!(hand_over(export(), &options), Err(SecretsError::NoNamespace));
}

#[test]
fn a_template_has_every_key_and_says_how_to_fill_it() {
    let export = handed_over(SecretMode::Template);
    let object = &export.objects[0];
    assert_eq!(object.value["stringData"], json!({"DATABASE_URL": "REPLACE_ME", "KEY": "REPLACE_ME"}));
    assert_eq!(object.value.get("data"), None);
    assert_eq!(object.comments[0].at, "/stringData/KEY");
    assert_eq!(export.notes[0].kind, NoteKind::Todo);
    assert!(
        export.notes[0].text.contains("kubectl create secret generic shop -n prod"),
        "{:?}",
        export.notes
    );
}

#[test]
fn certificates_of_cas_are_no_secret() {
    let mut export = export();
    export.objects[0].value["data"] = json!({"ca.crt": STANDARD.encode("-----BEGIN CERTIFICATE-----")});
    let before = export.clone();
    assert_eq!(hand_over(export, &Options::default()), Ok(before));
}

#[test]
fn an_external_secret_names_its_store() {
    let export = handed_over(SecretMode::External("vault".to_owned()));
    let spec = &export.objects[0].value["spec"];
    assert_eq!(spec["secretStoreRef"], json!({"kind": "ClusterSecretStore", "name": "vault"}));
    let first =
        json!({"secretKey": "DATABASE_URL", "remoteRef": {"key": "shop", "property": "DATABASE_URL"}});
    assert_eq!(spec["data"][0], first);
}

#[test]
fn no_value_is_anywhere_unless_it_is_wanted() {
    let certificate = Keys::new("rsa:2048").certificate();
    for (mode, is_told) in [
        (SecretMode::Inline, true),
        (SecretMode::Template, false),
        (SecretMode::Sealed(certificate), false),
        (SecretMode::External("vault".to_owned()), false),
    ] {
        let export = handed_over(mode.clone());
        let formats = [Format::Yaml, Format::Kustomize, Format::Helm];
        let all = formats.iter().flat_map(|format| files(&export, *format)).map(|file| file.text);
        let all = all.chain([stream(&export)]).collect::<String>();
        for (_, value) in VALUES {
            let is_there = all.contains(value) || all.contains(&STANDARD.encode(value));
            assert_eq!(is_there, is_told, "{mode:?}");
        }
    }
}
