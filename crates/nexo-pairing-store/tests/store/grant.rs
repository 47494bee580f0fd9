//! Grants: who ended them, according to the file.

use nexo_pairing_core::Actor;

use crate::support::{World, everywhere};

#[tokio::test]
async fn a_renewed_grant_has_no_revoker() {
    let world = World::new().await;
    let revoked_by = || {
        let sql = "SELECT revoked_via FROM pairing_allow_from";
        world.shell().query_row(sql, (), |row| row.get::<_, Option<String>>(0)).unwrap()
    };
    world.seed("+1").await;
    for is_seeded in [true, false] {
        world.store.revoke(&everywhere("+1"), &Actor::cli()).await.unwrap();
        assert_eq!(revoked_by().as_deref(), Some("cli"));
        if is_seeded {
            world.seed("+1").await;
        } else {
            let code = world.code("+1").await;
            world.approve(&code).await.unwrap();
        }
        assert_eq!(revoked_by(), None);
    }
}
