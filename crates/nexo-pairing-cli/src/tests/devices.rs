//! The sessions of devices.

use nexo_pairing::{Redemption, SessionToken, TokenClaims};
use time::OffsetDateTime;

use super::*;

/// Gives a device a session, as the server does for a setup code: its id and its token.
async fn pair(machine: &Machine, number: u32, label: Option<&str>) -> (String, SessionToken) {
    let store = machine.store().await;
    let expires_at = OffsetDateTime::now_utc() + time::Duration::MINUTE;
    let nonce = format!("{number:032x}");
    let label = label.map(str::to_owned);
    let claims = TokenClaims::new("companion-v1".into(), expires_at, nonce, label);
    let issued = store.redeem(Redemption::new(claims)).await.unwrap();
    (issued.session.id.as_str().to_owned(), issued.token)
}

async fn is_live(machine: &Machine, token: &SessionToken) -> bool {
    let store = machine.store().await;
    store.session(token).await.unwrap().is_some()
}

#[tokio::test]
async fn a_device_is_listed_until_it_is_revoked() {
    let machine = Machine::new("{}");
    let (exit, lines, _) = machine.run("devices list", b"").await;
    assert_eq!((exit, &lines[0]), (Exit::Done, &json!({ "devices": [] })));
    assert!(!machine.database().exists());

    let (phone, token) = pair(&machine, 1, Some("phone")).await;
    let (tablet, other) = pair(&machine, 2, None).await;
    let (_, lines, _) = machine.run("devices list", b"").await;
    let devices = lines[0]["devices"].as_array().unwrap();
    assert_eq!(devices.len(), 2);
    assert_eq!(devices[0]["id"], *phone);
    assert_eq!(devices[0]["device_label"], "phone");
    assert_eq!(devices[0]["profile"], "companion-v1");
    let keys: Vec<&String> = devices[0].as_object().unwrap().keys().collect();
    let expected = [
        "claim_peer",
        "device_label",
        "expires_at",
        "id",
        "issued_at",
        "last_peer",
        "last_seen_at",
        "named_by_device",
        "profile",
        "renew_until",
        "revoked_at",
    ];
    assert_eq!(keys, expected);

    let (exit, lines, error) = machine.run("devices revoke phone", b"").await;
    assert_eq!(exit, Exit::Done, "{error}");
    assert_eq!(lines[0]["revoked"][0]["id"], *phone);
    assert!(lines[0]["revoked"][0]["revoked_at"].is_string());
    assert!(!is_live(&machine, &token).await && is_live(&machine, &other).await);
    let (_, lines, _) = machine.run("devices list", b"").await;
    assert_eq!(lines[0]["devices"].as_array().map(Vec::len), Some(1));
    let (_, lines, _) = machine.run("devices list --all", b"").await;
    assert_eq!(lines[0]["devices"].as_array().map(Vec::len), Some(2));

    assert_eq!(machine.run(&format!("devices revoke {tablet}"), b"").await.0, Exit::Done);
    assert!(!is_live(&machine, &other).await);
    let (_, lines, _) = machine.run("log", b"").await;
    let events = lines[0]["events"].as_array().unwrap();
    assert_eq!(events.last().unwrap()["actor"], "cli");
}

#[tokio::test]
async fn a_name_that_two_devices_have_revokes_neither() {
    let machine = Machine::new("{}");
    let (first, token) = pair(&machine, 1, Some("phone")).await;
    let (second, _) = pair(&machine, 2, Some("phone")).await;
    let (exit, _, error) = machine.run("devices revoke phone", b"").await;
    assert_eq!((exit, error["error"]["kind"].as_str()), (Exit::Refused, Some("ambiguous_label")));
    let message = error["error"]["message"].as_str().unwrap();
    assert!(message.contains(&first) && message.contains(&second), "{message}");
    assert!(is_live(&machine, &token).await);
    // A device whose name is the id of another session does not get in the way.
    pair(&machine, 3, Some(&first)).await;
    let (_, lines, _) = machine.run(&format!("devices revoke {first}"), b"").await;
    assert_eq!(lines[0]["revoked"][0]["id"], *first);
    assert!(!is_live(&machine, &token).await);
    assert_eq!(machine.run("devices revoke phone", b"").await.0, Exit::Done);
}

#[tokio::test]
async fn nothing_to_revoke_is_refused_and_creates_no_database() {
    let machine = Machine::new("{}");
    let refused = async |what: &str| {
        let (exit, lines, error) = machine.run(&format!("devices revoke {what}"), b"").await;
        assert_eq!((exit, lines.len()), (Exit::Refused, 0));
        assert_eq!(error["error"]["kind"], "nothing_to_revoke");
    };
    refused("phone").await;
    assert!(!machine.database().exists());
    let (id, _) = pair(&machine, 1, Some("phone")).await;
    refused("Phone").await;
    assert_eq!(machine.run(&format!("devices revoke {id}"), b"").await.0, Exit::Done);
    refused(&id).await;
}

#[tokio::test]
async fn other_files_than_those_of_0_1_8_are_not_imported() {
    let machine = Machine::new("{}");
    let folder = machine.0.path().to_owned();
    std::fs::write(folder.join("text"), "nonsense").unwrap();
    for file in ["text", "none", "."] {
        let command = format!("devices import {}", folder.join(file).display());
        let (exit, lines, error) = machine.run(&command, b"").await;
        assert_eq!((exit, lines.len()), (Exit::Storage, 0), "{file}: {error}");
        assert!(!machine.database().exists(), "{file}");
    }
}
