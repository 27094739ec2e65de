//! How the pool of connections to the database is shared.

use std::time::Duration;

use serde_json::json;
use testkit::TestServer;

#[tokio::test]
async fn who_waits_too_long_for_the_database_is_asked_to_come_back() {
    let server = TestServer::start_with(|config| {
        config.database.max_pool_size = 1;
        config.database.pool_timeout = Some(Duration::from_millis(50));
    })
    .await;
    let admin = server.admin().await;
    let region = json!({"region": {"id": "north"}});
    let tx = server.app.parts.store.begin().await.unwrap();
    let refused = admin.post("/v3/regions", region.clone()).await;
    assert_eq!(refused.status, 503, "{}", refused.text);
    assert!(refused.headers.contains_key("Retry-After"));
    drop(tx);
    admin.post("/v3/regions", region).await.expect(201);
}
