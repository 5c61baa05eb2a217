//! Against a real server on this machine, which tells what it was sent.

use std::sync::{Mutex, MutexGuard};

use axum::{
    Router,
    body::Bytes,
    extract::Request,
    http::{HeaderMap, Method, Uri},
    response::{IntoResponse, Response},
};
use ergate_shared::stock::HttpMethod;
use serde_json::{Value, json};

use super::*;
use crate::failure::Course;

mod hosts;

/// A request as it came.
#[derive(Debug, Clone)]
struct Seen {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
}

impl Seen {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// A server that gives one answer to all, and keeps what it was asked.
struct Server {
    port: u16,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    async fn answering<R: IntoResponse>(answer: impl Fn(&Seen) -> R + Clone + Send + Sync + 'static) -> Self {
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let keep = Arc::clone(&seen);
        let app = Router::new().fallback(async move |request: Request| -> Response {
            let (head, body) = request.into_parts();
            let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
            let request = Seen { method: head.method, uri: head.uri, headers: head.headers, body };
            let answer = answer(&request).into_response();
            keep.lock().unwrap().push(request);
            answer
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { port, seen }
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    fn seen(&self) -> MutexGuard<'_, Vec<Seen>> {
        self.seen.lock().unwrap()
    }
}

fn client(rules: HttpRules) -> HttpClient {
    HttpClient::new(&HttpRules { allow_private: true, ..rules })
}

async fn perform(http: &HttpClient, job: HttpRequest) -> Result<Value> {
    let id = JobId::new("job-7").unwrap();
    let answer = http.perform(job, &id, 2).await?;
    Ok(serde_json::to_value(answer).unwrap())
}

async fn post(url: String) -> Result<Value> {
    perform(&client(HttpRules::default()), HttpRequest::post(url, json!({"order": 7}))).await
}

fn get(url: String) -> HttpRequest {
    HttpRequest { method: HttpMethod::Get, body: None, ..HttpRequest::post(url, Value::Null) }
}

#[tokio::test]
async fn an_answer_of_2xx_is_the_result_of_the_job() {
    let json = Server::answering(|_| (axum::http::StatusCode::CREATED, r#"{"id": 7, "tags": []}"#)).await;
    let text = Server::answering(|_| "thanks").await;

    assert_eq!(post(json.url("/")).await.unwrap(), json!({"status": 201, "body": {"id": 7, "tags": []}}));
    assert_eq!(post(text.url("/")).await.unwrap(), json!({"status": 200, "body": "thanks"}));
}

#[tokio::test]
async fn numbers_in_an_answer_stay_as_they_came() {
    let server = Server::answering(|_| r#"{"id":12345678901234567890123}"#).await;
    let job = get(server.url("/"));

    let answer = client(HttpRules::default()).perform(job, &JobId::new("a").unwrap(), 1).await.unwrap();

    let kept = serde_json::to_string(&answer).unwrap();
    assert_eq!(kept, r#"{"status":200,"body":{"id":12345678901234567890123}}"#);
}

#[tokio::test]
async fn an_answer_that_only_looks_like_json_is_text() {
    let server = Server::answering(|_| r#"{"name":"Ada \ud83d"}"#).await;

    assert_eq!(post(server.url("/")).await.unwrap()["body"], json!(r#"{"name":"Ada \ud83d"}"#));
}

#[tokio::test]
async fn a_refusal_whose_body_never_comes_is_a_refusal() {
    let server = Server::answering(|_| {
        let never = futures_util::stream::pending::<std::io::Result<Bytes>>();
        (axum::http::StatusCode::NOT_FOUND, axum::body::Body::from_stream(never))
    })
    .await;

    let failure = post(server.url("/")).await.unwrap_err();

    assert_eq!(failure.course, Course::Fatal);
    assert!(failure.to_string().contains("404"), "{failure}");
}

#[tokio::test]
async fn no_time_for_an_answer_is_refused() {
    let job = HttpRequest { timeout_ms: Some(0), ..get("http://127.0.0.1:9/".to_owned()) };

    let failure = perform(&client(HttpRules::default()), job).await.unwrap_err();

    assert_eq!(failure.course, Course::Fatal);
    assert!(failure.to_string().contains("timeout_ms is 0"), "{failure}");
}

#[tokio::test]
async fn a_long_answer_is_cut_between_characters() {
    let server = Server::answering(|_| format!("x{}", "ä".repeat(64 * 1024))).await;

    let answer = post(server.url("/")).await.unwrap();

    assert_eq!(answer["truncated"], true);
    assert_eq!(answer["body"].as_str().unwrap(), format!("x{}", "ä".repeat(32 * 1024 - 1)));
}

#[tokio::test]
async fn the_request_carries_what_the_job_says_and_who_it_is() {
    let server = Server::answering(|_| ()).await;

    post(server.url("/orders?at=once")).await.unwrap();

    let seen = server.seen()[0].clone();
    assert_eq!((seen.method.as_str(), seen.uri.to_string()), ("POST", "/orders?at=once".to_owned()));
    assert_eq!(&seen.body[..], br#"{"order":7}"#);
    assert_eq!(seen.header("content-type"), Some("application/json"));
    assert_eq!(seen.header("user-agent"), Some(concat!("ergate/", env!("CARGO_PKG_VERSION"))));
    assert_eq!(seen.header("idempotency-key"), Some("job-7"));
    assert_eq!(seen.header("ergate-attempt"), Some("2"));
    assert_eq!(seen.header("ergate-signature"), None);
}

#[tokio::test]
async fn a_string_is_sent_as_it_is_and_headers_of_the_job_win() {
    let server = Server::answering(|_| ()).await;
    let headers = [("content-type", "text/csv"), ("Idempotency-Key", "mine"), ("X-Key", "k")];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let job = HttpRequest { headers, ..HttpRequest::post(server.url("/"), "a,b\n1,2\n") };

    perform(&client(HttpRules::default()), job).await.unwrap();

    let seen = server.seen()[0].clone();
    assert_eq!(&seen.body[..], b"a,b\n1,2\n");
    assert_eq!(seen.header("content-type"), Some("text/csv"));
    assert_eq!(seen.header("idempotency-key"), Some("mine"));
    assert_eq!(seen.header("x-key"), Some("k"));
}

#[tokio::test]
async fn a_post_of_nothing_says_its_length() {
    let server = Server::answering(|_| ()).await;
    let job = HttpRequest { body: None, ..HttpRequest::post(server.url("/"), Value::Null) };

    perform(&client(HttpRules::default()), job).await.unwrap();

    assert_eq!(server.seen()[0].header("content-length"), Some("0"));
    assert_eq!(server.seen()[0].header("content-type"), None);
}

#[tokio::test]
async fn with_a_secret_the_body_is_signed() {
    let server = Server::answering(|_| ()).await;
    let http = client(HttpRules { signing_secret: Some("shared secret".to_owned()), ..HttpRules::default() });

    perform(&http, HttpRequest::post(server.url("/"), json!({"order": 7}))).await.unwrap();

    let seen = server.seen()[0].clone();
    let given = seen.header("ergate-signature").unwrap();
    let at: u64 = given.strip_prefix("t=").unwrap().split(',').next().unwrap().parse().unwrap();
    assert_eq!(given, signature::sign("shared secret", at, br#"{"order":7}"#));
    assert!(at.abs_diff(ergate_shared::clock::unix_ms() / 1000) < 60);
}

#[tokio::test]
async fn the_status_decides_between_trying_again_and_giving_up() {
    let server = Server::answering(|seen| {
        let status: u16 = seen.uri.path()[1..].parse().unwrap();
        axum::http::StatusCode::from_u16(status).unwrap()
    })
    .await;

    for (status, course) in [
        (300, Course::Fatal),
        (302, Course::Fatal),
        (304, Course::Fatal),
        (400, Course::Fatal),
        (401, Course::Fatal),
        (404, Course::Fatal),
        (410, Course::Fatal),
        (422, Course::Fatal),
        (408, Course::Retry),
        (425, Course::Retry),
        (429, Course::Retry),
        (500, Course::Retry),
        (502, Course::Retry),
        (503, Course::Retry),
        (504, Course::Retry),
    ] {
        let failure = post(server.url(&format!("/{status}"))).await.unwrap_err();

        assert_eq!(failure.course, course, "{status}");
        assert!(failure.to_string().contains(&status.to_string()), "{failure}");
    }
}

#[tokio::test]
async fn a_busy_server_says_when_to_come_back() {
    let server = Server::answering(|seen| {
        let status: u16 = seen.uri.path()[1..].parse().unwrap();
        (axum::http::StatusCode::from_u16(status).unwrap(), [("retry-after", "120")])
    })
    .await;
    let two_minutes = Course::RetryIn(Duration::from_mins(2));

    for (status, course) in
        [(429, two_minutes), (503, two_minutes), (500, Course::Retry), (404, Course::Fatal)]
    {
        let failure = post(server.url(&format!("/{status}"))).await.unwrap_err();

        assert_eq!(failure.course, course, "{status}");
    }
}

#[tokio::test]
async fn a_refusal_tells_the_status_and_how_the_answer_begins() {
    let server = Server::answering(|_| {
        (axum::http::StatusCode::NOT_FOUND, format!("no such hook {}", "!".repeat(9000)))
    })
    .await;

    let failure = post(server.url("/hook?token=hidden")).await.unwrap_err().to_string();

    let begins = format!("POST 127.0.0.1:{} answered 404 Not Found: no such hook !!!", server.port);
    assert!(failure.starts_with(&begins), "{failure}");
    assert!(failure.len() < 600 && !failure.contains("hidden"), "{failure}");
}

#[tokio::test]
async fn no_connection_is_tried_again_and_tells_no_secrets() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();

    let failure = post(format!("http://user:pass@{gone}/hook?token=hidden")).await.unwrap_err();

    assert_eq!(failure.course, Course::Retry);
    let told = failure.to_string();
    assert!(told.contains(&gone.to_string()) && told.contains("refused"), "{told}");
    assert!(!told.contains("hidden") && !told.contains("pass"), "{told}");
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up_in_time() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let job = HttpRequest { timeout_ms: Some(20), ..HttpRequest::post(url, Value::Null) };

    let failure = perform(&client(HttpRules::default()), job).await.unwrap_err();

    assert_eq!(failure.course, Course::Retry);
    assert!(failure.to_string().ends_with("was not answered within 20ms"), "{failure}");
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_tried_again() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 1024]).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf").await.unwrap();
    });

    let failure = post(url).await.unwrap_err();

    assert_eq!(failure.course, Course::Retry);
}

#[tokio::test]
async fn jobs_that_can_never_be_sent_are_refused_before_anything_is() {
    let header = |name: &str, value: &str| HttpRequest {
        headers: [(name.to_owned(), value.to_owned())].into(),
        ..HttpRequest::post("http://1.1.1.1/", Value::Null)
    };
    let to = |url: &str| HttpRequest::post(url, Value::Null);
    let http = HttpClient::new(&HttpRules::default());

    for (job, told) in [
        (to("no url"), "url \"no url\""),
        (to("ftp://example.com/"), "scheme ftp"),
        (to("file:///etc/passwd"), "scheme file"),
        (header("Host", "internal"), "header host is set by the worker"),
        (header("Ergate-Signature", "t=1,v1=00"), "header ergate-signature is set by the worker"),
        (header("Content-Length", "3"), "header content-length is set by the worker"),
        (header("a b", "x"), "header name \"a b\" is not valid"),
        (header("x", "a\r\nb: c"), "value of header x is not valid"),
    ] {
        let failure = perform(&http, job).await.unwrap_err();

        assert_eq!(failure.course, Course::Fatal, "{told}");
        assert!(failure.to_string().contains(told), "{failure}");
    }
}

#[cfg(not(feature = "tls"))]
#[tokio::test]
async fn without_tls_https_is_refused_and_says_what_is_missing() {
    let failure = post("https://1.1.1.1/".to_owned()).await.unwrap_err();

    assert_eq!(failure.course, Course::Fatal);
    assert!(failure.to_string().contains("feature `tls`"), "{failure}");
}
