//! Files in a folder, and a mail server of a few lines.

use std::{fs, sync::Mutex};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

use super::*;
use crate::failure::Course;

const JOB: Identity<'_> = Identity { job: "01JD0000000000000000000007", queue: "email" };

fn welcome() -> SendEmail {
    SendEmail {
        to: vec!["Ada <ada@example.com>".to_owned()],
        from: Some("shop@example.org".to_owned()),
        reply_to: None,
        subject: "Welcome".to_owned(),
        text: "Hello Ada".to_owned(),
        html: None,
    }
}

/// A folder that is gone with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("ergate-mail-{}", uuid::Uuid::new_v4().simple())))
    }

    fn mailer(&self) -> Mailer {
        Mailer::new(&MailRules { smtp: None, from: None, folder: self.0.clone() })
    }

    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    fn text(&self, file: &str) -> String {
        fs::read_to_string(self.0.join(file)).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[tokio::test]
async fn without_a_server_a_mail_is_a_file_named_after_its_job_and_queue() {
    let folder = Folder::new();

    let sent = folder.mailer().send(welcome(), JOB).await.unwrap();

    assert_eq!(folder.files(), ["01JD0000000000000000000007.email.eml"]);
    assert_eq!(sent.file, Some(folder.0.join("01JD0000000000000000000007.email.eml").display().to_string()));
    let text = folder.text("01JD0000000000000000000007.email.eml");
    for line in [
        "From: shop@example.org",
        "To: Ada <ada@example.com>",
        "Subject: Welcome",
        "Message-ID: <01JD0000000000000000000007.email@example.org>",
    ] {
        assert!(text.contains(&format!("{line}\r\n")), "{line} is not in {text}");
    }
    assert!(text.ends_with("\r\n\r\nHello Ada\r\n"), "{text}");
}

#[tokio::test]
async fn a_mail_that_is_sent_twice_is_one_mail() {
    let folder = Folder::new();

    let first = folder.mailer().send(welcome(), JOB).await.unwrap();
    let second = folder.mailer().send(welcome(), JOB).await.unwrap();

    assert_eq!(first, second);
    assert_eq!(folder.files().len(), 1);
}

#[tokio::test]
async fn an_id_of_the_callers_own_cannot_lead_out_of_the_folder() {
    let folder = Folder::new();
    let job = Identity { job: "../../etc/évil", queue: "a:b" };

    let sent = folder.mailer().send(welcome(), job).await.unwrap();

    assert_eq!(folder.files(), ["=2E=2E=2F=2E=2E=2Fetc=2F=C3=A9vil.a=3Ab.eml"]);
    assert_eq!(sent.message_id, "<=2E=2E=2F=2E=2E=2Fetc=2F=C3=A9vil.a=3Ab@example.org>");
}

#[tokio::test]
async fn text_and_html_are_alternatives() {
    let folder = Folder::new();
    let both = SendEmail { html: Some("<p>Hello Ada</p>".to_owned()), ..welcome() };

    folder.mailer().send(both, JOB).await.unwrap();

    let text = folder.text(&folder.files()[0]);
    for part in ["multipart/alternative", "text/plain", "text/html", "<p>Hello Ada</p>"] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
}

#[tokio::test]
async fn a_subject_cannot_add_headers() {
    let folder = Folder::new();
    let sly = SendEmail { subject: "Hi\r\nBcc: all@example.com".to_owned(), ..welcome() };

    folder.mailer().send(sly, JOB).await.unwrap();

    assert!(!folder.text(&folder.files()[0]).contains("\nBcc:"));
}

#[tokio::test]
async fn a_mail_without_valid_addresses_is_given_up() {
    let folder = Folder::new();
    let to = |to: &[&str]| SendEmail { to: to.iter().map(|to| (*to).to_owned()).collect(), ..welcome() };

    for (email, told) in [
        (to(&[]), "mail has no recipient"),
        (to(&["ada@example.com", "nobody"]), "\"nobody\" is no mail address"),
        (SendEmail { from: Some("shop".to_owned()), ..welcome() }, "\"shop\" is no mail address"),
        (SendEmail { reply_to: Some("@".to_owned()), ..welcome() }, "\"@\" is no mail address"),
    ] {
        let failure = folder.mailer().send(email, JOB).await.unwrap_err();

        assert_eq!(failure.course, Course::Fatal, "{told}");
        assert!(failure.to_string().contains(told), "{failure}");
    }
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_tried_again_later() {
    let folder = Folder::new();
    fs::write(&folder.0, "in the way").unwrap();

    let failure = folder.mailer().send(welcome(), JOB).await.unwrap_err();
    fs::remove_file(&folder.0).unwrap();

    assert_eq!(failure.course, Course::Retry);
    assert!(failure.to_string().contains("mail cannot be kept as"), "{failure}");
}

/// A mail server: answers what it is told to at one point of the conversation, takes mail otherwise. If that point is the dot
/// at the end of a mail, its first mail is never answered.
struct Server {
    port: u16,
    heard: Arc<Mutex<Heard>>,
}

/// What a mail server was told.
#[derive(Debug, Default)]
struct Heard {
    lines: Vec<String>,
    mails: Vec<String>,
}

impl Server {
    async fn start(at: &'static str, answer: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = Self { port, heard: Arc::default() };
        let heard = Arc::clone(&server.heard);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(converse(stream, Arc::clone(&heard), at, answer));
            }
        });
        server
    }

    fn lines(&self) -> Vec<String> {
        self.heard.lock().unwrap().lines.clone()
    }

    /// How many connections there were.
    fn connections(&self) -> usize {
        self.lines().iter().filter(|line| line.starts_with("EHLO")).count()
    }

    async fn has_mail(&self) {
        while self.heard.lock().unwrap().mails.is_empty() {
            tokio::task::yield_now().await;
        }
    }

    fn mailer(&self, user: &str, from: Option<&str>) -> Mailer {
        let smtp = SmtpServer::new(&format!("smtp://{user}127.0.0.1:{}", self.port), 10).unwrap();
        let from = from.map(|from| Mailbox::new(from).unwrap());
        Mailer::new(&MailRules { smtp: Some(smtp), from, folder: PathBuf::from("never made") })
    }
}

async fn converse(
    stream: TcpStream,
    heard: Arc<Mutex<Heard>>,
    at: &str,
    answer: &str,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 test ESMTP\r\n").await?;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        heard.lock().unwrap().lines.push(line.trim().to_owned());
        let reply = match line.split([' ', ':', '\r']).next().unwrap_or_default() {
            word if word == at => answer,
            "EHLO" => "250-test\r\n250 AUTH PLAIN",
            "AUTH" => "235 2.7.0 welcome",
            "DATA" => {
                stream.write_all(b"354 go on\r\n").await?;
                let mut mail = String::new();
                while !mail.ends_with("\r\n.\r\n") {
                    stream.read_line(&mut mail).await?;
                }
                let mails = {
                    let mut heard = heard.lock().unwrap();
                    heard.mails.push(mail);
                    heard.mails.len()
                };
                match at {
                    "." if mails == 1 => std::future::pending().await,
                    "." => answer,
                    _ => "250 2.0.0 queued as 42",
                }
            }
            "QUIT" => "221 bye",
            _ => "250 ok",
        };
        stream.write_all(format!("{reply}\r\n").as_bytes()).await?;
    }
}

#[tokio::test]
async fn a_server_gets_the_mail_and_its_answer_is_kept() {
    let server = Server::start("nothing", "").await;
    let mailer = server.mailer("", Some("Shop <shop@example.org>"));

    let sent = mailer.send(SendEmail { from: None, ..welcome() }, JOB).await.unwrap();

    assert_eq!(sent.server.as_deref(), Some("2.0.0 queued as 42"));
    assert_eq!(sent.message_id, "<01JD0000000000000000000007.email@example.org>");
    let mails = &server.heard.lock().unwrap().mails;
    assert!(
        mails[0].contains("From: Shop <shop@example.org>\r\n") && mails[0].contains("Hello Ada"),
        "{mails:?}"
    );
}

#[tokio::test]
async fn user_and_password_of_the_url_are_given_to_the_server() {
    let server = Server::start("nothing", "").await;

    server.mailer("user:p%40ss@", None).send(welcome(), JOB).await.unwrap();

    // NUL, user, NUL, password, in base 64.
    assert!(server.lines().contains(&"AUTH PLAIN AHVzZXIAcEBzcw==".to_owned()), "{:?}", server.lines());
}

#[tokio::test]
async fn what_the_server_says_decides_between_trying_again_and_giving_up() {
    for (at, answer, course) in [
        ("RCPT", "550 5.1.1 no such user", Course::Fatal),
        ("MAIL", "553 5.1.8 sender refused", Course::Fatal),
        ("DATA", "554 5.7.1 spam", Course::Fatal),
        ("RCPT", "450 4.2.0 greylisted", Course::Retry),
        ("MAIL", "421 4.3.2 shutting down", Course::Retry),
        // The worker's credentials are wrong, not the mail.
        ("AUTH", "535 5.7.8 bad credentials", Course::Retry),
        ("MAIL", "530 5.7.0 authenticate first", Course::Retry),
    ] {
        let server = Server::start(at, answer).await;

        let failure = server.mailer("user:password@", None).send(welcome(), JOB).await.unwrap_err();

        assert_eq!(failure.course, course, "{answer}");
        assert!(failure.to_string().contains(&answer[4..]), "{failure} does not tell {answer}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_tried_again() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let smtp = Some(SmtpServer::new(&format!("smtp://127.0.0.1:{port}"), 1).unwrap());
    let mailer = Mailer::new(&MailRules { smtp, from: None, folder: PathBuf::from("never made") });

    let failure = mailer.send(welcome(), JOB).await.unwrap_err();

    assert_eq!(failure.course, Course::Retry);
}

#[tokio::test]
async fn a_connection_takes_the_next_mail_unless_the_server_has_ended_it() {
    for (at, answer, connections) in [("nothing", "", 1), ("NOOP", "421 4.4.2 idle for too long", 2)] {
        let server = Server::start(at, answer).await;
        let mailer = server.mailer("", None);

        for _ in 0..2 {
            mailer.send(welcome(), JOB).await.unwrap();
        }

        assert_eq!(server.connections(), connections, "{at}: {answer}");
    }
}

#[tokio::test]
async fn a_mail_that_is_given_up_half_way_leaves_no_answers_to_the_next() {
    let server = Server::start(".", "554 5.7.1 spam").await;
    let mailer = server.mailer("", None);
    tokio::select! {
        _ = mailer.send(welcome(), JOB) => unreachable!("it is not answered"),
        () = server.has_mail() => {}
    }

    let failure = mailer.send(welcome(), JOB).await.unwrap_err();

    assert_eq!(failure.course, Course::Fatal);
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn a_mail_for_a_server_needs_a_sender() {
    let server = Server::start("nothing", "").await;

    let failure = server.mailer("", None).send(SendEmail { from: None, ..welcome() }, JOB).await.unwrap_err();

    assert_eq!(failure.course, Course::Fatal);
    assert!(failure.to_string().contains("--mail-from"), "{failure}");
}

#[test]
fn the_address_of_a_server_is_shown_without_its_password() {
    let server = SmtpServer::new("smtp://user:secret@mail.example.com:587", 1).unwrap();

    assert_eq!(server.address(), "smtp://user:(hidden)@mail.example.com:587");
    assert!(!format!("{server:?}").contains("secret"));
}

#[test]
fn what_is_no_mail_server_is_refused() {
    for url in
        ["mail.example.com", "http://mail.example.com", "smtp://", "smtp://x?tls=maybe", "smtp://user@x"]
    {
        assert!(SmtpServer::new(url, 1).is_err(), "{url}");
    }
    #[cfg(not(feature = "tls"))]
    assert!(SmtpServer::new("smtps://x", 1).unwrap_err().contains("feature `tls`"));
    #[cfg(feature = "tls")]
    assert!(SmtpServer::new("smtps://x", 1).is_ok());
}
