create table if not exists organizations (
  id text primary key,
  name text not null
) without rowid;

-- Times are milliseconds since the epoch.
create table if not exists audit_logs (
  id integer primary key,
  org_id text not null,
  at integer not null,
  actor text not null,
  action text not null,
  target text not null,
  ip text not null
);

create index if not exists audit_logs_in_order on audit_logs (org_id, at, id);

-- One an export, however often its job runs.
create table if not exists notifications (
  export_id text primary key,
  org_id text not null,
  user_id text not null,
  title text not null,
  rows integer not null,
  created_at integer not null
) without rowid;
