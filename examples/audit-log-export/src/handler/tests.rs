//! The handler with a database in memory, storage in memory or in a folder, and mail in a folder. No Redis.

use std::{cell::RefCell, fs, path::PathBuf};

use super::*;
use crate::{database::Database, job::Filters, mail::Mailer, storage::Storage};

const UNTIL: &str = "2026-06-01T00:00:00Z";

struct World {
    app: App,
    folder: PathBuf,
    export: AuditLogExport,
}

impl World {
    async fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("audit-log-export-{}", uuid::Uuid::new_v4().simple()));
        let database = Database::in_memory();
        let until = UNTIL.parse().unwrap();
        database.seed(2, 1200, until).await.unwrap();
        let org_id = database.organizations().await.unwrap()[0].id;
        let mailer = Mailer::folder("exports@acme.example", folder.join("mail")).unwrap();
        let base_url = "http://localhost".to_owned();
        let app = App { database, storage: Storage::in_memory(), mailer, base_url };
        let export = AuditLogExport {
            org_id,
            user_id: uuid::Uuid::nil(),
            user_email: "ada@acacia.example".to_owned(),
            start_date: "2026-04-01T00:00:00Z".parse().unwrap(),
            end_date: UNTIL.parse().unwrap(),
            filters: None,
        };
        Self { app, folder, export }
    }

    async fn perform(&self, id: &str) -> Result<Exported> {
        perform(&self.app, &self.export, &JobId::new(id).unwrap(), |_| {}).await
    }

    async fn csv(&self, id: &str) -> Vec<csv::StringRecord> {
        let file = self.app.storage.download(id).await.unwrap().expect("the file is there");
        let bytes = file.bytes().await.unwrap();
        csv::Reader::from_reader(&*bytes).records().collect::<Result<_, _>>().unwrap()
    }

    fn mails(&self) -> Vec<String> {
        let files = fs::read_dir(self.folder.join("mail")).unwrap();
        files.map(|file| fs::read_to_string(file.unwrap().path()).unwrap()).collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

#[tokio::test]
async fn the_csv_has_the_rows_of_the_range_and_no_others() {
    let world = World::new().await;
    let expected = world.app.database.count(&(&world.export).into()).await.unwrap();

    let exported = world.perform("e1").await.unwrap();

    let rows = world.csv("e1").await;
    assert!((1..1200).contains(&expected), "{expected} of the organization's 1200 rows are in the range");
    assert_eq!((exported.rows, rows.len() as u64), (expected, expected));
    assert!(rows.iter().all(|row| row[1] >= *"2026-04-01" && row[1] < *"2026-06-01"));
    assert!(rows.iter().all(|row| row[2].ends_with("@acacia.example")));
}

#[tokio::test]
async fn filters_narrow_the_rows() {
    let mut world = World::new().await;
    world.export.filters = Some(Filters {
        action: Some("billing.updated".to_owned()),
        actor: Some("eve@acacia.example".to_owned()),
    });

    world.perform("e1").await.unwrap();

    let rows = world.csv("e1").await;
    assert!(!rows.is_empty());
    assert!(rows.iter().all(|row| &row[3] == "billing.updated" && &row[2] == "eve@acacia.example"));
}

#[tokio::test]
async fn the_user_gets_a_mail_with_the_link_and_a_notification() {
    let world = World::new().await;

    let exported = world.perform("e1").await.unwrap();

    let mails = world.mails();
    assert_eq!(mails.len(), 1);
    assert!(mails[0].contains("To: ada@acacia.example"), "{}", mails[0]);
    assert!(mails[0].contains("http://localhost/exports/e1/download"), "{}", mails[0]);
    let notification = world.app.database.notification("e1").await.unwrap().unwrap();
    assert_eq!(notification.rows, exported.rows);
}

#[tokio::test]
async fn a_rerun_after_a_crash_doubles_neither_file_nor_mail_nor_notification() {
    let world = World::new().await;
    let first = world.perform("e1").await.unwrap();

    let second = world.perform("e1").await.unwrap();

    assert_eq!(first.rows, second.rows);
    assert_eq!(world.csv("e1").await.len() as u64, first.rows);
    assert_eq!(world.mails().len(), 1);
    assert_eq!(world.app.database.notifications(10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_range_that_ends_before_it_starts_is_not_tried_again() {
    let mut world = World::new().await;
    world.export.end_date = "2026-03-01T00:00:00Z".parse().unwrap();

    let failure = world.perform("e1").await.unwrap_err();

    assert!(failure.is_fatal(), "{failure:?}");
    assert!(failure.to_string().contains("before it starts"), "{failure}");
}

#[tokio::test]
async fn an_unknown_organization_is_not_tried_again() {
    let mut world = World::new().await;
    world.export.org_id = uuid::Uuid::nil();

    let failure = world.perform("e1").await.unwrap_err();

    assert!(failure.is_fatal(), "{failure:?}");
}

#[tokio::test]
async fn a_storage_that_refuses_the_file_is_tried_again_and_nobody_is_told() {
    let mut world = World::new().await;
    let files = world.folder.join("files");
    world.app.storage = Storage::open(files.to_str().unwrap()).unwrap();
    // Where the file should go there is a folder, which no program may replace by a file, not even root's.
    fs::create_dir_all(files.join("exports/e1.csv")).unwrap();

    let failure = world.perform("e1").await.unwrap_err();

    assert!(!failure.is_fatal(), "{failure:?}");
    assert!(world.mails().is_empty());
    assert_eq!(world.app.database.notifications(10).await.unwrap(), []);

    fs::remove_dir(files.join("exports/e1.csv")).unwrap();
    world.perform("e1").await.unwrap();
    assert_eq!(world.mails().len(), 1);
}

#[tokio::test]
async fn progress_grows_to_the_whole() {
    let world = World::new().await;
    let seen = RefCell::new(Vec::new());

    perform(&world.app, &world.export, &JobId::new("e1").unwrap(), |part| seen.borrow_mut().push(part))
        .await
        .unwrap();

    let seen = seen.into_inner();
    assert!(seen.len() > 1 && seen.is_sorted());
    assert_eq!(seen.last(), Some(&1.0));
}
