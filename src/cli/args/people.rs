//! What is typed about people, tokens and boxes elsewhere.

use clap::Subcommand;

use super::AppArgs;

#[derive(Debug, clap::Args)]
pub(crate) struct LoginArgs {
    /// The box, such as `https://box.example.com`, or an invite's link
    pub(crate) url: String,
    /// Read the token from standard input: `-` [default: ask]
    #[arg(long, value_name = "-")]
    pub(crate) token: Option<String>,
    /// The name of the box here [default: its host's first word]
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// The name that you want, where an invite leaves that to you
    #[arg(long, value_name = "USER")]
    pub(crate) user: Option<String>,
    /// Believe a local CA of this fingerprint alone, and do not ask
    #[arg(long, value_name = "SHA256")]
    pub(crate) fingerprint: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct LogoutArgs {
    /// The box [default: `--remote`, else the one that is used without]
    pub(crate) name: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct RemotesArgs {
    #[command(subcommand)]
    pub(crate) action: Option<RemotesAction>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RemotesAction {
    /// List them, as `minipaas remotes` alone does
    #[command(hide = true, alias = "ls")]
    List,
    /// Log in to a box under this name
    Add {
        /// Its name here
        remote: String,
        #[command(flatten)]
        login: LoginArgs,
    },
    /// Forget a box; its token goes on to be good
    #[command(alias = "rm")]
    Remove {
        /// Its name
        name: String,
    },
    /// Use a box where there is none on this machine
    Default {
        /// Its name
        name: String,
    },
    /// Give a box another name
    Rename {
        /// Its name
        name: String,
        /// The other one
        to: String,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct UsersArgs {
    #[command(subcommand)]
    pub(crate) action: Option<UsersAction>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum UsersAction {
    /// List them, as `minipaas users` alone does
    #[command(hide = true, alias = "ls")]
    List,
    /// Make a user; `minipaas invite` lets them in
    Add {
        /// Their name
        user: String,
        /// Let them do anything on the box
        #[arg(long)]
        admin: bool,
    },
    /// Remove a user, their tokens and their roles
    #[command(alias = "rm")]
    Remove {
        /// Their name
        user: String,
    },
    /// Make a user an administrator
    Promote {
        /// Their name
        user: String,
    },
    /// Make a user an administrator no longer
    Demote {
        /// Their name
        user: String,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct AccessArgs {
    #[command(subcommand)]
    pub(crate) action: Option<AccessAction>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AccessAction {
    /// List them, as `minipaas access` alone does
    #[command(hide = true, alias = "ls")]
    List,
    /// Give a user a role for the app
    #[command(alias = "create", alias = "update")]
    Add {
        /// Their name
        user: String,
        /// `viewer`, `collaborator` or `owner` [default: collaborator]
        #[arg(long, value_name = "ROLE")]
        role: Option<String>,
    },
    /// Take a user's role for the app away
    #[command(alias = "rm", alias = "delete")]
    Remove {
        /// Their name
        user: String,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct TransferArgs {
    /// Who is to own it
    pub(crate) user: String,
    #[command(flatten)]
    pub(crate) app: AppArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct TokensArgs {
    #[command(subcommand)]
    pub(crate) action: Option<TokensAction>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokensAction {
    /// List them, as `minipaas tokens` alone does
    #[command(hide = true, alias = "ls")]
    List,
    /// Make a token, and print it this one time; `--app` limits it to one app
    #[command(alias = "add")]
    Create {
        /// What it is for: `ci`
        name: String,
        /// Let it look alone
        #[arg(long, conflicts_with = "role")]
        read_only: bool,
        /// What it may do with `--app`: `viewer`, `collaborator` or `owner` [default: collaborator]
        #[arg(long, value_name = "ROLE")]
        role: Option<String>,
        /// How long it lasts, such as `90d` [default: until it is revoked]
        #[arg(long, value_name = "TIME", value_parser = crate::manifest::age)]
        expires: Option<std::time::Duration>,
        /// Whose, at the box itself, where nobody has any
        #[arg(long)]
        user: Option<String>,
    },
    /// End a token at once
    #[command(alias = "rm", alias = "remove")]
    Revoke {
        /// The token, by its first eight digits
        id: String,
    },
    /// Give a token another secret, and print it this one time; the one before ends at once
    Rotate {
        /// The token, by its first eight digits
        id: String,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct InviteArgs {
    /// For whom [default: whoever follows the link chooses a name]
    #[arg(value_name = "USER")]
    pub(crate) user: Option<String>,
    /// Make them an administrator of the box
    #[arg(long)]
    pub(crate) admin: bool,
    /// What they may do with `--app`: `viewer`, `collaborator` or `owner` [default: collaborator]
    #[arg(long, value_name = "ROLE")]
    pub(crate) role: Option<String>,
    /// How long the link is good, such as `24h` [default: 72h]
    #[arg(long, value_name = "TIME", value_parser = crate::manifest::age)]
    pub(crate) expires: Option<std::time::Duration>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct InvitesArgs {
    #[command(subcommand)]
    pub(crate) action: Option<InvitesAction>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum InvitesAction {
    /// List them, as `minipaas invites` alone does
    #[command(hide = true, alias = "ls")]
    List,
    /// Take an invite back
    #[command(alias = "rm")]
    Remove {
        /// The invite, by its eight digits
        id: String,
    },
}
