//! Exports of a corpus of apps, as real programs read them: the schemas of Kubernetes, kubectl with kustomize, Helm.
//!
//! `tests/fixtures/export/` has an app a folder ([`corpus`]). Each is exported for every entrance, in every way of handing over
//! secrets, in every format ([`variant`]); `validate.py` then looks at all of it in one process ([`tools`]).

mod agreement;
mod corpus;
mod golden;
mod secrets;
mod tools;
mod valid;
mod variant;
