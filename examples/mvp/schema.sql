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
alter table users enable row level security;
alter table requests enable row level security;
create policy nobody_reads_others on users using (false);
create policy nobody_reads_others on requests using (false);

insert into users (email, created_at) select 'user' || i || '@example.com', timestamptz '2026-11-16Z' - make_interval(days => i) from generate_series(1, 50) i;
insert into requests (user_id, path, at)
select 1 + i % 50, '/api/' || i % 9, timestamptz '2026-11-16Z' - make_interval(mins => 30 * i) from generate_series(1, 3000) i;
analyze;
