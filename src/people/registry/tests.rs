//! The rules of who may give what to whom, on a store of their own.

use std::collections::BTreeSet;

use super::super::{Actor, Scope};
use super::*;

fn user(name: &str) -> UserName {
    name.parse().unwrap()
}

fn app(name: &str) -> AppName {
    name.parse().unwrap()
}

fn all(name: &str) -> NewToken {
    NewToken { name: name.to_owned(), scope: Scope::All, expires: None }
}

#[tokio::test]
async fn an_invite_lets_one_person_in_once_and_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let secret = {
        let people = People::in_folder(folder.path()).await;
        let grants = vec![(app("shop"), Role::Collaborator)];
        let wanted = NewInvite { user: Some(user("alice")), grants, ..NewInvite::default() };
        people.invite(wanted, &Actor::named("root")).await.unwrap().1
    };
    let people = People::in_folder(folder.path()).await;
    let other = people.redeem(&secret, Some(user("mallory")), "laptop".to_owned()).await.unwrap_err();
    assert_eq!(other.to_string(), "the invite is for `alice`");
    let wrong = Secret::of(secret.id().clone(), SecretKind::Invite);
    assert!(matches!(people.redeem(&wrong, None, "x".to_owned()).await, Err(PeopleError::NoInvite)));
    let redeemed = people.redeem(&secret, None, "laptop".to_owned()).await.unwrap();
    assert!(!redeemed.user.is_admin);
    assert!(matches!(people.redeem(&secret, None, "x".to_owned()).await, Err(PeopleError::NoInvite)));

    drop(people);
    let people = People::in_folder(folder.path()).await;
    let caller = people.authenticate(&redeemed.secret).unwrap();
    assert_eq!(people.read(|state| state.role(&caller, &app("shop"))), Some(Role::Collaborator));
    assert_eq!(people.read(|state| state.role(&caller, &app("blog"))), None);
    // A code is no token, and a token is no code.
    assert_eq!(people.authenticate(&secret).unwrap_err(), Denied::Unknown);
    assert!(matches!(
        people.redeem(&redeemed.secret, None, "x".to_owned()).await,
        Err(PeopleError::NoInvite)
    ));
}

#[tokio::test]
async fn no_secret_is_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let people = People::in_folder(folder.path()).await;
    people.add_user(user("alice"), false).await.unwrap();
    let (_, token) = people.add_token(&user("alice"), all("ci")).await.unwrap();
    let (_, invite) = people.invite(NewInvite::default(), &Actor::the_box()).await.unwrap();
    drop(people);
    let secrets = [token.reveal(), invite.reveal()].map(|text| text[text.len() - 43..].to_owned());
    let mut files = 0;
    for entry in walkdir::WalkDir::new(folder.path()).into_iter().filter_map(Result::ok) {
        if entry.file_type().is_file() {
            files += 1;
            let bytes = std::fs::read(entry.path()).unwrap();
            for secret in &secrets {
                assert!(!bytes.windows(43).any(|window| window == secret.as_bytes()), "{entry:?}");
            }
        }
    }
    assert!(files > 0);
}

#[tokio::test]
async fn a_token_ends_when_it_is_revoked_rotated_or_its_user_goes() {
    let folder = tempfile::tempdir().unwrap();
    let people = People::in_folder(folder.path()).await;
    for name in ["alice", "bob"] {
        people.add_user(user(name), false).await.unwrap();
    }
    let (token, first) = people.add_token(&user("alice"), all("ci")).await.unwrap();
    let caller = people.authenticate(&first).unwrap();
    assert!(matches!(people.revoke_token(&token.id, Some(&user("bob"))).await, Err(PeopleError::NoToken(_))));
    let (_, second) = people.rotate_token(&token.id, Some(&user("alice"))).await.unwrap();
    assert_eq!(people.authenticate(&first).unwrap_err(), Denied::Unknown);
    assert_eq!(people.lapsed(&caller, |_| true).await, Some(Denied::Unknown));
    let caller = people.authenticate(&second).unwrap();
    let waiting = tokio::spawn({
        let (people, caller) = (people.clone(), caller.clone());
        async move { people.lapsed(&caller, |_| true).await }
    });
    people.remove_user(&user("alice")).await.unwrap();
    assert_eq!(waiting.await.unwrap(), Some(Denied::Unknown));
    assert_eq!(people.authenticate(&second).unwrap_err(), Denied::Unknown);
    // Another one of the same name has nothing of hers.
    people.add_user(user("alice"), false).await.unwrap();
    assert_eq!(people.authenticate(&second).unwrap_err(), Denied::Unknown);
}

#[tokio::test]
async fn an_expired_token_is_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let people = People::in_folder(folder.path()).await;
    people.add_user(user("alice"), false).await.unwrap();
    let over = NewToken { expires: Some(clock::now()), ..all("old") };
    assert!(matches!(people.add_token(&user("alice"), over).await, Err(PeopleError::TokenTime)));
    let soon = NewToken { expires: Some(clock::now() + 60_000), ..all("ci") };
    let (token, secret) = people.add_token(&user("alice"), soon).await.unwrap();
    let at = |now: u64| people.read(|state| state.authenticate(&secret, now).map(drop));
    assert_eq!(at(token.created), Ok(()));
    assert_eq!(at(token.created + 120_000), Err(Denied::Expired));
}

#[tokio::test]
async fn whoever_makes_an_app_owns_it_and_nothing_is_left_of_the_one_before() {
    let folder = tempfile::tempdir().unwrap();
    let people = People::in_folder(folder.path()).await;
    let mut callers = Vec::new();
    for name in ["alice", "bob"] {
        people.add_user(user(name), false).await.unwrap();
        let (_, secret) = people.add_token(&user(name), all("ci")).await.unwrap();
        callers.push(people.authenticate(&secret).unwrap());
    }
    let shop = app("shop");
    people.claim(&shop, &callers[0]).await.unwrap();
    people.claim(&shop, &callers[0]).await.unwrap();
    assert!(matches!(people.claim(&shop, &callers[1]).await, Err(PeopleError::Claimed(_))));
    assert!(matches!(people.withdraw_grant(&shop, &user("alice")).await, Err(PeopleError::LastOwner { .. })));
    assert!(matches!(
        people.grant(&shop, &user("alice"), Role::Viewer).await,
        Err(PeopleError::LastOwner { .. })
    ));
    assert!(matches!(people.grant(&shop, &user("bob"), Role::Admin).await, Err(PeopleError::AdminOfApp)));
    people.transfer(&shop, &user("bob")).await.unwrap();
    let role = |caller: &Caller| people.read(|state| state.role(caller, &shop));
    assert_eq!((role(&callers[0]), role(&callers[1])), (Some(Role::Collaborator), Some(Role::Owner)));

    people.forget_app(&shop).await.unwrap();
    assert_eq!((role(&callers[0]), role(&callers[1])), (None, None));
    people.claim(&shop, &callers[0]).await.unwrap();
    assert_eq!((role(&callers[0]), role(&callers[1])), (Some(Role::Owner), None));
    people.keep_apps(&BTreeSet::new()).await.unwrap();
    assert_eq!(role(&callers[0]), None);
}
