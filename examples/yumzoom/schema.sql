-- YumZoom: the tables that age, with a few thousand rows. All times lie before 2026-11-16 00:00 UTC.
create table restaurants (id bigint generated always as identity primary key, name text not null, cuisine text not null);
create index restaurants_cuisine on restaurants (cuisine);
create table health_checks (id bigint generated always as identity primary key, checked_at timestamptz not null);
create table users (id uuid primary key default gen_random_uuid(), handle text not null unique);
create table user_sessions (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null references users on delete cascade,
  last_seen_at timestamptz not null
);
create index user_sessions_user on user_sessions (user_id);
create index user_sessions_seen on user_sessions (last_seen_at);
create table user_activity (
  id bigint generated always as identity,
  user_id uuid not null references users on delete cascade,
  kind text not null,
  ip inet,
  created_at timestamptz not null,
  primary key (id, created_at)
) partition by range (created_at);
create table user_activity_2026_06 partition of user_activity for values from ('2026-06-01Z') to ('2026-07-01Z');
create table user_activity_2026_07 partition of user_activity for values from ('2026-07-01Z') to ('2026-08-01Z');
create table user_activity_2026_08 partition of user_activity for values from ('2026-08-01Z') to ('2026-09-01Z');
create table user_activity_2026_09 partition of user_activity for values from ('2026-09-01Z') to ('2026-10-01Z');
create table user_activity_2026_10 partition of user_activity for values from ('2026-10-01Z') to ('2026-11-01Z');
create table user_activity_2026_11 partition of user_activity for values from ('2026-11-01Z') to ('2026-12-01Z');
create index user_activity_user on user_activity (user_id);
create index user_activity_created on user_activity (created_at);
create table temporary_uploads (id uuid primary key default gen_random_uuid(), path text not null, created_at timestamptz not null);
create index temporary_uploads_created on temporary_uploads (created_at);

insert into restaurants (name, cuisine) select 'Restaurant ' || i, (array['ramen', 'tapas', 'thai'])[1 + i % 3] from generate_series(1, 300) i;
insert into users (id, handle) select md5('user ' || i)::uuid, 'eater-' || i from generate_series(1, 100) i;
insert into user_sessions (user_id, last_seen_at)
select md5('user ' || 1 + i % 100)::uuid, timestamptz '2026-11-16Z' - make_interval(hours => i) from generate_series(1, 850) i;
insert into user_activity (user_id, kind, ip, created_at)
select md5('user ' || 1 + i % 100)::uuid, 'search', '192.0.2.7', timestamptz '2026-11-16Z' - make_interval(hours => 2 * i) from generate_series(1, 1900) i;
insert into temporary_uploads (path, created_at)
select 'tmp/' || i, timestamptz '2026-11-16Z' - make_interval(hours => i) from generate_series(1, 200) i;
analyze;
