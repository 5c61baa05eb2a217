//! Which hosts a request may reach, also by redirects.

use super::*;

#[tokio::test]
async fn private_hosts_are_refused_by_address_and_by_name_and_never_asked() {
    let server = Server::answering(|_| ()).await;
    let http = HttpClient::new(&HttpRules::default());

    for host in ["127.0.0.1", "localhost", "[::1]", "2130706433"] {
        let job = get(format!("http://{host}:{}/", server.port));
        let failure = perform(&http, job).await.unwrap_err();

        assert_eq!(failure.course, Course::Fatal, "{host}");
        assert!(failure.to_string().contains("--allow-private-hosts"), "{failure}");
    }
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn a_redirect_is_checked_like_the_first_address() {
    let server = Server::answering(|seen| {
        let host = seen.header("host").unwrap().replace("127.0.0.1", "localhost");
        (axum::http::StatusCode::TEMPORARY_REDIRECT, [("location", format!("http://{host}/inside"))])
    })
    .await;
    let http = client(HttpRules { hosts: vec![HostRule::new("127.0.0.1").unwrap()], ..HttpRules::default() });

    let failure = perform(&http, get(server.url("/"))).await.unwrap_err();

    assert_eq!(failure.course, Course::Fatal);
    assert!(failure.to_string().contains("localhost is not on the worker's allow-list"), "{failure}");
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_redirect_keeps_method_and_body_but_gives_the_jobs_headers_to_nobody_else() {
    let last = Server::answering(|_| "here").await;
    let last_port = last.port;
    let first = Server::answering(move |seen| match seen.uri.path() {
        "/old" => (axum::http::StatusCode::PERMANENT_REDIRECT, [("location", "/new".to_owned())]),
        _ => (
            axum::http::StatusCode::TEMPORARY_REDIRECT,
            [("location", format!("http://127.0.0.1:{last_port}/"))],
        ),
    })
    .await;
    let headers =
        [("X-Key", "k"), ("Accept", "text/plain")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    let job = HttpRequest { headers: headers.into(), ..HttpRequest::post(first.url("/old"), json!([1])) };

    let answer = perform(&client(HttpRules::default()), job).await.unwrap();

    assert_eq!(answer["body"], "here");
    assert_eq!(first.seen()[1].header("x-key"), Some("k"));
    let seen = last.seen()[0].clone();
    assert_eq!((seen.method.as_str(), &seen.body[..]), ("POST", &b"[1]"[..]));
    assert_eq!((seen.header("x-key"), seen.header("accept")), (None, Some("text/plain")));
    assert_eq!(
        (seen.header("content-type"), seen.header("idempotency-key")),
        (Some("application/json"), Some("job-7"))
    );
}

#[tokio::test]
async fn a_post_that_would_become_a_get_is_a_failure_that_names_the_new_address() {
    let server =
        Server::answering(|_| (axum::http::StatusCode::MOVED_PERMANENTLY, [("location", "/new")])).await;

    let failure = post(server.url("/old")).await.unwrap_err();

    assert_eq!(failure.course, Course::Fatal);
    assert!(failure.to_string().contains(r#"301 Moved Permanently with the address "/new""#), "{failure}");
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn redirects_come_to_an_end() {
    let server = Server::answering(|_| (axum::http::StatusCode::FOUND, [("location", "/again")])).await;

    let failure = perform(&client(HttpRules::default()), get(server.url("/"))).await.unwrap_err();

    assert_eq!(failure.course, Course::Fatal);
    assert!(failure.to_string().contains("more than 5 times"), "{failure}");
    assert_eq!(server.seen().len(), 6);
}
