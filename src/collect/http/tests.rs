//! The client against a server on loopback.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use secrecy::SecretString;
use wiremock::matchers::{basic_auth, bearer_token, method};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

async fn serve(answer: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("GET")).respond_with(answer).mount(&server).await;
    server
}

async fn get(server: &MockServer, timeout: Duration, bytes_max: usize) -> Result<Reply, HttpError> {
    let client = Client::new(false, &HttpAuth::None, &Tls::default()).unwrap();
    fetch(client.request(Method::GET, server.uri().parse().unwrap()), timeout, bytes_max).await
}

fn gzip(body: &[u8]) -> ResponseTemplate {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(body).unwrap();
    ResponseTemplate::new(200)
        .insert_header("content-encoding", "gzip")
        .set_body_bytes(encoder.finish().unwrap())
}

#[tokio::test]
async fn a_gzip_body_is_unpacked() {
    let server = serve(gzip(b"up 1\n")).await;
    assert_eq!(get(&server, SECOND, 100).await.unwrap().body, b"up 1\n");
}

#[tokio::test]
async fn a_gzip_bomb_is_too_large() {
    let server = serve(gzip(&vec![b'0'; 1_000_000])).await;
    let error = get(&server, SECOND, 10_000).await.unwrap_err();
    assert!(matches!(error, HttpError::TooLarge { .. }), "{error}");
}

#[tokio::test]
async fn what_is_not_gzip_is_an_error() {
    let lie = ResponseTemplate::new(200).insert_header("content-encoding", "gzip").set_body_bytes("up 1");
    assert!(matches!(get(&serve(lie).await, SECOND, 100).await, Err(HttpError::Gzip)));
}

#[tokio::test]
async fn a_plain_body_is_bounded() {
    let server = serve(ResponseTemplate::new(200).set_body_bytes("0".repeat(101))).await;
    assert!(matches!(get(&server, SECOND, 100).await, Err(HttpError::TooLarge { .. })));
}

#[tokio::test]
async fn a_slow_answer_times_out_and_may_be_asked_for_again() {
    let server = serve(ResponseTemplate::new(200).set_delay(5 * SECOND)).await;
    let error = get(&server, SECOND / 20, 100).await.unwrap_err();
    assert!(matches!(error, HttpError::Timeout(_)) && error.is_retryable());
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_not_followed() {
    let elsewhere = ResponseTemplate::new(302).insert_header("location", "http://169.254.169.254/");
    assert_eq!(get(&serve(elsewhere).await, SECOND, 100).await.unwrap().status, 302);
}

#[tokio::test]
async fn a_closed_port_says_what_happened() {
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", server.local_addr().unwrap());
    drop(server);
    let client = Client::new(false, &HttpAuth::None, &Tls::default()).unwrap();
    let error = fetch(client.request(Method::GET, url.parse().unwrap()), SECOND, 100).await.unwrap_err();
    assert!(error.to_string().contains("refused"), "{error}");
}

#[tokio::test]
async fn credentials_go_along() {
    let server = MockServer::start().await;
    Mock::given(basic_auth("scraper", "s3cret"))
        .respond_with(ResponseTemplate::new(200))
        .mount(&server)
        .await;
    Mock::given(bearer_token("t0ken")).respond_with(ResponseTemplate::new(201)).mount(&server).await;
    let basic = HttpAuth::Basic { user: "scraper".into(), password: SecretString::from("s3cret") };
    for (auth, want) in [(basic, 200), (HttpAuth::Bearer(SecretString::from("t0ken")), 201)] {
        let client = Client::new(false, &auth, &Tls::default()).unwrap();
        let request = client.request(Method::GET, server.uri().parse().unwrap());
        assert_eq!(fetch(request, SECOND, 100).await.unwrap().status, want);
    }
}
