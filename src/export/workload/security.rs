//! What a pod may do: as little as the image allows.
//!
//! On the box, containers have Docker's capabilities and `no-new-privileges`. Here they lose all capabilities, so that a namespace
//! can enforce the `restricted` Pod Security Standard; only an image that runs as root keeps those by which its entry point
//! makes files its own and gives up root, because without them it would not start.

use k8s_openapi::api::core::v1::{Capabilities, PodSecurityContext, SeccompProfile, SecurityContext, Sysctl};

use super::Draft;
use crate::export::object::{NoteKind, Sheet};
use crate::export::subject::Image;

/// The largest id of a user or group that the API takes.
const ID_MAX: i64 = i32::MAX as i64;
/// What entry points that start as root use: `chown`, `setpriv` and the like, and a port below 1024.
const ROOT_CAPABILITIES: [&str; 7] =
    ["CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "NET_BIND_SERVICE", "SETGID", "SETUID"];
/// The first port that needs no privilege, where nothing else is said.
const PORT_UNPRIVILEGED: u16 = 1024;
/// Lets anybody listen below it. Docker sets it for every container; containerd and CRI-O do so only when told.
const PORT_SYSCTL: &str = "net.ipv4.ip_unprivileged_port_start";

/// Whom an image's processes run as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::export) enum User {
    /// Root, because the image says so or nothing.
    Root,
    /// Somebody else.
    Number {
        /// The user's id; not 0.
        uid: i64,
        /// The group's, if the image says one by number.
        gid: Option<i64>,
    },
    /// Somebody whose id only the image's `/etc/passwd` knows.
    Name(String),
}

impl User {
    /// As the image's `USER` says.
    pub(in crate::export) fn of(image: &Image) -> Self {
        let (user, group) = match image.user.split_once(':') {
            Some((user, group)) => (user.trim(), Some(group.trim())),
            None => (image.user.trim(), None),
        };
        let id = |text: &str| text.parse().ok().filter(|id| (0..=ID_MAX).contains(id));
        match (user, id(user)) {
            ("" | "root", _) | (_, Some(0)) => Self::Root,
            (_, Some(uid)) => Self::Number { uid, gid: group.and_then(id) },
            (name, None) => Self::Name(name.to_owned()),
        }
    }

    /// Whether a cluster can tell that it is not root.
    pub(in crate::export) fn is_surely_not_root(&self) -> bool {
        matches!(self, Self::Number { .. })
    }

    /// Whose the files of a volume are to be, so that the user can write them.
    fn volume_group(&self) -> Option<i64> {
        match self {
            Self::Number { uid, gid } => Some(gid.filter(|gid| *gid > 0).unwrap_or(*uid)),
            Self::Root | Self::Name(_) => None,
        }
    }
}

/// What holds for the pod: who it is, with a group for its volumes if it has any, and which ports it may listen on.
pub(super) fn of_pod(draft: &Draft<'_>, ports: &[u16], has_volumes: bool) -> PodSecurityContext {
    let is_low = ports.iter().any(|port| *port < PORT_UNPRIVILEGED);
    let sysctl = || Sysctl { name: PORT_SYSCTL.to_owned(), value: "0".to_owned() };
    let (run_as_user, run_as_group) = match &draft.user {
        User::Number { uid, gid } => (Some(*uid), *gid),
        User::Root | User::Name(_) => (None, None),
    };
    let fs_group = draft.user.volume_group().filter(|_| has_volumes);
    PodSecurityContext {
        run_as_non_root: run_as_user.map(|_| true),
        run_as_user,
        run_as_group,
        fs_group,
        // Without it a start waits until every file of a large volume has been looked at.
        fs_group_change_policy: fs_group.map(|_| "OnRootMismatch".to_owned()),
        seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), localhost_profile: None }),
        sysctls: (is_low && draft.user != User::Root).then(|| vec![sysctl()]),
        ..PodSecurityContext::default()
    }
}

/// What holds for its container.
pub(super) fn of_container(user: &User) -> SecurityContext {
    let added = || ROOT_CAPABILITIES.map(str::to_owned).into();
    SecurityContext {
        allow_privilege_escalation: Some(false),
        capabilities: Some(Capabilities {
            drop: Some(vec!["ALL".to_owned()]),
            add: (*user == User::Root).then(added),
        }),
        ..SecurityContext::default()
    }
}

/// Says what the image's user keeps the pods from.
pub(super) fn note(draft: &Draft<'_>, sheet: &mut Sheet<'_>) {
    let has_volumes = !draft.subject.manifest.volumes.is_empty();
    match &draft.user {
        User::Number { .. } => {}
        User::Root => sheet.note(
            NoteKind::Changed,
            "image user",
            format!(
                "the image runs as root, here with {} alone of Docker's capabilities; a namespace that enforces `restricted` \
                 refuses it: write `USER 1000`, or another number, into the Dockerfile",
                ROOT_CAPABILITIES.join(", ")
            ),
        ),
        User::Name(name) => {
            let volumes = if has_volumes {
                ", and a volume's files would belong to root, so the app could not write them"
            } else {
                ""
            };
            sheet.note(
                NoteKind::Todo,
                "image user",
                format!(
                    "a cluster cannot tell whether `{name}` is root, so pods are not marked `runAsNonRoot`{volumes}; write its \
                     number into the Dockerfile, such as `USER 1000`"
                ),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_what_the_image_says() {
        let number = |uid, gid| User::Number { uid, gid };
        for (user, expected) in [
            ("", User::Root),
            ("0", User::Root),
            ("root:app", User::Root),
            ("0:1000", User::Root),
            ("1000", number(1000, None)),
            ("1000:2000", number(1000, Some(2000))),
            ("1000:app", number(1000, None)),
            ("app:1000", User::Name("app".to_owned())),
            ("99999999999", User::Name("99999999999".to_owned())),
        ] {
            let image = Image { user: user.to_owned(), ..Image::default() };
            assert_eq!(User::of(&image), expected, "{user}");
        }
        assert_eq!(number(1000, Some(0)).volume_group(), Some(1000), "not the root group");
    }
}
