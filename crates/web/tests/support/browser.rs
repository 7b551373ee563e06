//! A browser without script.

use axum::body::Body as HttpBody;
use axum::http::{HeaderMap, Request, StatusCode, header};
use http_body_util::BodyExt as _;

use super::Shop;

/// Somebody at a screen.
pub struct Browser<'a> {
    pub shop: &'a Shop,
    pub cookie: Option<String>,
}

impl Browser<'_> {
    pub async fn ask(&self, request: Request<HttpBody>) -> (StatusCode, HeaderMap, String) {
        let answer = self.shop.send(request).await;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let bytes = answer.into_body().collect().await.unwrap().to_bytes();
        (status, headers, String::from_utf8_lossy(&bytes).into_owned())
    }

    pub async fn get(&self, path: &str) -> (StatusCode, HeaderMap, String) {
        let mut request =
            Request::get(path).header(header::HOST, "127.0.0.1:7171").header(header::ACCEPT, "text/html");
        if let Some(cookie) = &self.cookie {
            request = request.header(header::COOKIE, cookie);
        }
        self.ask(request.body(HttpBody::empty()).unwrap()).await
    }

    pub async fn page(&self, path: &str) -> String {
        let (status, headers, text) = self.get(path).await;
        assert_eq!(status, StatusCode::OK, "{path}: {text}");
        assert!(headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap().contains("default-src 'none'"));
        text
    }

    pub async fn post(&self, path: &str, form: &str, site: &str) -> (StatusCode, HeaderMap, String) {
        self.ask(self.posting(path, form, site)).await
    }

    /// What the script of the floor's pages sends.
    pub async fn scan(&self, path: &str, form: &str) -> (StatusCode, String) {
        let mut request = self.posting(path, form, "same-origin");
        request.headers_mut().insert("floor-scan", header::HeaderValue::from_static("1"));
        let (status, _, text) = self.ask(request).await;
        (status, text)
    }

    fn posting(&self, path: &str, form: &str, site: &str) -> Request<HttpBody> {
        let mut request = Request::post(path)
            .header(header::HOST, "127.0.0.1:7171")
            .header(header::ACCEPT, "text/html")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header("sec-fetch-site", site);
        if let Some(cookie) = &self.cookie {
            request = request.header(header::COOKIE, cookie);
        }
        request.body(HttpBody::from(form.to_owned())).unwrap()
    }

    pub async fn sign_in(&mut self, key: &str) {
        let (status, headers, text) =
            self.post("/sign-in", &format!("key={key}&next=/stock"), "same-origin").await;
        assert_eq!(
            (status, headers[header::LOCATION].to_str().unwrap()),
            (StatusCode::SEE_OTHER, "/stock"),
            "{text}"
        );
        let set = headers[header::SET_COOKIE].to_str().unwrap();
        assert!(set.contains("HttpOnly") && set.contains("SameSite=Lax"), "{set}");
        self.cookie = Some(set.split(';').next().unwrap().to_owned());
    }
}

pub fn stranger(shop: &Shop) -> Browser<'_> {
    Browser { shop, cookie: None }
}

pub async fn signed_in(shop: &Shop) -> Browser<'_> {
    let mut browser = stranger(shop);
    browser.sign_in(&shop.key).await;
    browser
}
