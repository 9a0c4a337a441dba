//! The ways in which an app is exported.

use minipaas::export::format::{self, File, Format};
use minipaas::export::{Entrance, Export, Options, SecretMode, TlsSource, Version, check, export, secrets};

use super::corpus::Case;

/// The formats, with the folders that `validate.py` looks for.
pub const FORMATS: [(Format, &str); 3] =
    [(Format::Yaml, "yaml"), (Format::Kustomize, "kustomize"), (Format::Helm, "helm")];

/// As a controller of SealedSecrets has one; nobody has its private key.
const SEALING_CERTIFICATE: &str = include_str!("sealing.pem");

/// One way.
#[derive(Debug, Clone)]
pub struct Variant {
    pub name: &'static str,
    pub options: Options,
    /// The versions that take what comes of it.
    pub versions: Vec<Version>,
}

/// All of them: each entrance, each way of handing over secrets, the oldest version and the newest.
pub fn variants() -> Vec<Variant> {
    let oldest = |name, change: &dyn Fn(&mut Options)| {
        let mut options = Options { secrets: SecretMode::Inline, ..Options::default() };
        change(&mut options);
        Variant { name, options, versions: check::versions() }
    };
    let newest = *check::versions().last().unwrap();
    let mut variants = vec![
        oldest("nginx", &|_| {}),
        oldest("traefik", &|options| {
            options.entrance = Entrance::Ingress("traefik".to_owned());
            options.tls = TlsSource::Secret("wildcard-tls".to_owned());
        }),
        oldest("gateway", &|options| options.entrance = Entrance::Gateway("infra/web".to_owned())),
        oldest("other", &|options| {
            options.entrance = Entrance::Ingress("haproxy".to_owned());
            options.tls = TlsSource::None;
        }),
        oldest("template", &|options| options.secrets = SecretMode::Template),
        oldest("external", &|options| options.secrets = SecretMode::External("vault".to_owned())),
        oldest("sealed", &|options| options.secrets = SecretMode::Sealed(SEALING_CERTIFICATE.to_owned())),
        oldest("newest", &|options| options.version = newest),
    ];
    for variant in &mut variants {
        if matches!(variant.name, "sealed" | "gateway") {
            variant.options.namespace = Some("production".to_owned());
        }
    }
    variants.last_mut().unwrap().versions = vec![newest];
    variants
}

impl Variant {
    /// The export, as it is written.
    pub fn export(&self, case: &Case) -> Export {
        let export = export(&case.subjects, &[], &self.options);
        let export = export.unwrap_or_else(|error| panic!("{} for {}: {error}", case.name, self.name));
        secrets::hand_over(export, &self.options).unwrap()
    }

    /// Whether it is sealed: encryption is random.
    pub fn is_sealed(&self) -> bool {
        matches!(self.options.secrets, SecretMode::Sealed(_))
    }

    /// Whether the values of secrets are in it, where they belong.
    pub fn has_values(&self) -> bool {
        self.options.secrets == SecretMode::Inline
    }
}

/// Its files in a format.
pub fn files(export: &Export, format: Format) -> Vec<File> {
    format::files(export, format)
}
