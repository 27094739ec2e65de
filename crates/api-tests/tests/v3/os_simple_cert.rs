//! Certificates of PKI tokens over HTTP.

use testkit::TestServer;

#[tokio::test]
async fn certificates_are_gone_for_everybody() {
    let server = TestServer::start().await;
    for path in ["/v3/OS-SIMPLE-CERT/ca", "/v3/OS-SIMPLE-CERT/certificates"] {
        assert_eq!(
            server.nobody().get(path).await.message(410),
            "This API is no longer available due to the removal of support for PKI tokens."
        );
    }
}
