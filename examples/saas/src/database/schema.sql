-- Times are in ms since the epoch.
create table if not exists organizations (id text primary key, name text not null, owner_email text not null, sync_enabled integer not null);
create table if not exists users (
    id text primary key, organization_id text not null, name text not null, email text not null,
    reports_enabled integer not null, active_at integer not null
);
create table if not exists sessions (id text primary key, user_id text not null, expires_at integer not null);
create table if not exists audit_logs (id integer primary key, organization_id text not null, at integer not null, action text not null);
create table if not exists logs (id integer primary key, at integer not null, line text not null);
create table if not exists uploads (name text primary key, owner_id text);
create table if not exists trips (id text primary key, driver_id text not null, passenger_id text not null, completed_at integer);
create table if not exists entities (
    id text primary key, organization_id text not null, amounts text not null,
    status text not null default 'pending', result text, error text
);
create table if not exists subscriptions (id text primary key, organization_id text not null, cents integer not null, state text not null);
create table if not exists invoices (subscription_id text, period text, cents integer not null, primary key (subscription_id, period));
create table if not exists contacts (organization_id text, id text, name text not null, primary key (organization_id, id));
create table if not exists notifications (key text primary key, user_id text not null, text text not null);
create table if not exists activity (organization_id text, action text, count integer not null, primary key (organization_id, action));
create virtual table if not exists search using fts5 (kind, id, text);
-- What was deleted under which key, so that who asks again is told the same.
create table if not exists deletions (key text primary key, rows integer not null);
