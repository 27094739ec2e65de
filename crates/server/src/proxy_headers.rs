use crate::listen::Peer;
pub struct Origin {
    pub base_url: String,
}
impl Origin {
    pub fn of(headers: &http::HeaderMap, peer: Option<&Peer>, _: bool) -> Self {
        let host = headers
            .get("host")
            .and_then(|h| h.to_str().ok())
            .unwrap_or("localhost");
        let secure = peer.is_some_and(|p| p.secure);
        Self {
            base_url: format!("{}://{}", if secure { "https" } else { "http" }, host),
        }
    }
}
