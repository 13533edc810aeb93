-- The MVP: a few tables of a young app, with rows for a free plan. All times lie before 2026-11-16 00:00 UTC.
create table users (id bigint generated always as identity primary key, email text not null unique, created_at timestamptz not null);
create table requests (
  id bigint generated always as identity primary key,
  user_id bigint not null references users,
  path text not null,
  at timestamptz not null
);
create index requests_user on requests (user_id);
create index requests_at on requests (at);
-- A line of the app's log, in the fields that it writes everywhere.
create table logs (
  id bigint generated always as identity primary key,
  "timestamp" timestamptz not null,
  level text not null check (level in ('debug', 'info', 'warn', 'error')),
  service text not null,
  message text not null,
  metadata jsonb not null default '{}',
  trace_id text,
  user_id bigint references users
);
create index logs_timestamp on logs ("timestamp");
create index logs_user on logs (user_id);
alter table users enable row level security;
alter table requests enable row level security;
alter table logs enable row level security;
create policy nobody_reads_others on users using (false);
create policy nobody_reads_others on requests using (false);
create policy nobody_reads_others on logs using (false);

insert into users (email, created_at) select 'user' || i || '@example.com', timestamptz '2026-11-16Z' - make_interval(days => i) from generate_series(1, 50) i;
insert into requests (user_id, path, at)
select 1 + i % 50, '/api/' || i % 9, timestamptz '2026-11-16Z' - make_interval(mins => 30 * i) from generate_series(1, 3000) i;
insert into logs ("timestamp", level, service, message, metadata, trace_id, user_id)
select timestamptz '2026-11-16Z' - make_interval(hours => i), (array['debug', 'info', 'warn', 'error'])[1 + i % 4], 'api', 'answered',
       jsonb_build_object('ms', i % 900), md5('trace ' || i), case when i % 3 > 0 then 1 + i % 50 end
  from generate_series(1, 840) i;
analyze;
