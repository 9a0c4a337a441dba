//! From a source folder to an image of it.
//!
//! ```text
//! folder ─► detect ─► BuildKind ─┬─ Image       nothing to build
//!                                ├─ Dockerfile  ignore ─► context ─► digest ─► archive for the engine
//!                                └─ Static      the same, on a base image that carries the static server
//! ```
//!
//! [`detect`] says which kind of build it is, [`ignore`] which files stay out, [`context`] lists the others, and
//! [`static_base`] makes the images of static sites from this very program. The [`ContentDigest`] of a context decides
//! "already built": it is equal where the engine would see the same, whatever machine or checkout it comes from, so an
//! image tagged with it need not be built again.
//!
//! All of that is file-system work; [`image`] alone talks to an engine. What is not done here: guessing how a language is
//! built without a Dockerfile, and removing images.

pub mod context;
pub mod detect;
mod digest;
mod elf;
pub mod ignore;
pub mod image;
mod pattern;
pub mod static_base;

pub use digest::ContentDigest;
pub use pattern::PatternError;
