//! Authentication by keys.

use std::fs;

use data_encoding::BASE64URL_NOPAD;
use nexo_pairing_nats::{Bus, NatsError};
use nexo_pairing_nats_server::NatsServer;
use nkeys::KeyPair;
use serde_json::{Value, json};

use crate::access::{file, refused};
use crate::support::{options, within};

#[tokio::test]
async fn an_nkey() {
    let pair = KeyPair::new_user();
    let user = format!("authorization {{ users: [ {{ nkey: {} }} ] }}", pair.public_key());
    let server = NatsServer::with(|_| user);
    let mut options = options(&server);
    refused(within(Bus::connect(options.clone())).await);
    options.nkey_file = Some(file(&server, &KeyPair::new_user().seed().unwrap()));
    refused(within(Bus::connect(options.clone())).await);
    options.nkey_file = Some(file(&server, &format!("{}\n", pair.seed().unwrap())));
    within(Bus::connect(options)).await.unwrap().flush().await.unwrap();
}

/// A NATS token: claims signed by `signer`.
fn jwt(signer: &KeyPair, of: &KeyPair, says: Value) -> String {
    let encode = |value: Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let head = encode(json!({"typ": "JWT", "alg": "ed25519-nkey"}));
    let claims = json!({
        "jti": "1", "iat": 1_700_000_000, "name": "test",
        "iss": signer.public_key(), "sub": of.public_key(), "nats": says,
    });
    let signed = format!("{head}.{}", encode(claims));
    let signature = BASE64URL_NOPAD.encode(&signer.sign(signed.as_bytes()).unwrap());
    format!("{signed}.{signature}")
}

#[tokio::test]
async fn a_credentials_file() {
    let (operator, account) = (KeyPair::new_operator(), KeyPair::new_account());
    let operator_says = json!({"type": "operator", "version": 2});
    let limits = json!({
        "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1,
        "wildcards": true, "conn": -1, "leaf": -1,
    });
    let account_says = json!({"type": "account", "version": 2, "limits": limits});
    let user_says = json!({
        "type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1, "pub": {}, "sub": {},
    });
    let server = NatsServer::with(|folder| {
        let file = folder.join("operator.jwt");
        fs::write(&file, jwt(&operator, &operator, operator_says)).unwrap();
        let account_jwt = jwt(&operator, &account, account_says);
        format!(
            "operator: {:?}\nresolver: MEMORY\nresolver_preload: {{ {}: {account_jwt} }}",
            file.display().to_string(),
            account.public_key(),
        )
    });
    let user = KeyPair::new_user();
    let credentials = |seed: String| {
        format!(
            "-----BEGIN NATS USER JWT-----\n{}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n",
            jwt(&account, &user, user_says.clone()),
        )
    };
    let mut options = options(&server);
    refused(within(Bus::connect(options.clone())).await);
    let anothers = KeyPair::new_user().seed().unwrap();
    options.credentials_file = Some(file(&server, &credentials(anothers)));
    refused(within(Bus::connect(options.clone())).await);
    options.credentials_file = Some(file(&server, &credentials(user.seed().unwrap())));
    within(Bus::connect(options.clone())).await.unwrap().flush().await.unwrap();

    let path = file(&server, "not credentials");
    options.credentials_file = Some(path.clone());
    let error = Bus::connect(options).await.unwrap_err();
    assert!(matches!(&error, NatsError::File { path: named, .. } if *named == path), "{error:?}");
}
