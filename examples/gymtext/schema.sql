-- GymText: the tables that age, with a few thousand rows. All times lie before 2026-11-16 00:00 UTC.
create table users (
  id bigint generated always as identity primary key,
  phone_hash text not null unique,
  email text,
  cancelled_at timestamptz,
  created_at timestamptz not null default now()
);
create table messages (
  id bigint generated always as identity primary key,
  user_id bigint not null references users,
  direction text not null check (direction in ('in', 'out')),
  body text not null,
  delivery text not null default 'delivered',
  created_at timestamptz not null
);
create index messages_user on messages (user_id);
create index messages_created on messages (created_at);
create table workouts (
  id bigint generated always as identity primary key,
  user_id bigint not null references users,
  day date not null,
  plan jsonb not null,
  created_at timestamptz not null
);
create index workouts_user on workouts (user_id);
create index workouts_created on workouts (created_at);
create table profile_changes (
  id bigint generated always as identity primary key,
  user_id bigint not null references users,
  change jsonb not null,
  created_at timestamptz not null
);
create index profile_changes_user on profile_changes (user_id);
create table error_logs (id bigint generated always as identity primary key, message text not null, created_at timestamptz not null);
create index error_logs_created on error_logs (created_at);
create table application_logs (id bigint generated always as identity primary key, message text not null, created_at timestamptz not null);
create index application_logs_created on application_logs (created_at);
create table metrics (id bigint generated always as identity primary key, name text not null, value double precision, created_at timestamptz not null);
create index metrics_created on metrics (created_at);
-- Imported from the coach's tool: no foreign key, and the import was sometimes run twice.
create table coach_notes (
  id bigint generated always as identity primary key,
  user_id bigint,
  source_id text not null,
  note text not null,
  imported_at timestamptz not null
);
create index coach_notes_user on coach_notes (user_id);
-- Who did what to whose data. Each entry carries the hash of the one before: what is changed or taken out from between shows.
create table audit_log (
  id bigint generated always as identity primary key,
  actor text not null,
  operation text not null,
  user_id bigint not null,
  at timestamptz not null,
  previous bytea not null,
  hash bytea not null
);
create index audit_log_at on audit_log (at);
create function audit_hash(entry audit_log) returns bytea
  language sql stable
  set search_path = ''
  as $$
    select sha256(convert_to(jsonb_build_array(entry.id, entry.actor, entry.operation, entry.user_id,
                                               extract(epoch from entry.at), encode(entry.previous, 'hex'))::text, 'UTF8'))
  $$;
create function chain_audit() returns trigger
  language plpgsql
  set search_path = ''
  as $$
begin
  lock table public.audit_log in share row exclusive mode;
  new.previous := coalesce((select hash from public.audit_log order by id desc limit 1), sha256(''));
  new.hash := public.audit_hash(new);
  return new;
end
$$;
create trigger audit_log_chain before insert on audit_log for each row execute function chain_audit();

insert into users (phone_hash, email, cancelled_at, created_at)
select md5('phone ' || i), 'user' || i || '@example.com',
       case when i % 10 = 0 then timestamptz '2026-11-16Z' - make_interval(days => i) end, timestamptz '2026-11-16Z' - make_interval(days => 500)
  from generate_series(1, 200) i;
insert into messages (user_id, direction, body, delivery, created_at)
select 1 + i % 200, case when i % 2 = 0 then 'in' else 'out' end, E'rep, "set" & rest\n' || i, case when i % 17 = 0 then 'failed' else 'delivered' end,
       timestamptz '2026-11-16Z' - make_interval(hours => i)
  from generate_series(1, 2500) i;
insert into workouts (user_id, day, plan, created_at)
select 1 + i % 200, (timestamptz '2026-11-16Z' - make_interval(days => i))::date, jsonb_build_object('sets', i % 7), timestamptz '2026-11-16Z' - make_interval(days => i)
  from generate_series(1, 400) i;
insert into profile_changes (user_id, change, created_at)
select 1 + i % 200, '{"goal": "strength"}', timestamptz '2026-11-16Z' - make_interval(days => 3 * i) from generate_series(1, 300) i;
insert into error_logs (message, created_at)
select 'error ' || i, timestamptz '2026-11-16Z' - make_interval(hours => i) from generate_series(1, 800) i;
insert into application_logs (message, created_at)
select 'log ' || i, timestamptz '2026-11-16Z' - make_interval(mins => 10 * i) from generate_series(1, 2400) i;
insert into metrics (name, value, created_at)
select 'p95', i, timestamptz '2026-11-16Z' - make_interval(days => i) from generate_series(1, 400) i;
insert into coach_notes (user_id, source_id, note, imported_at)
select case when i % 50 = 0 then 9000 + i when i % 33 = 0 then null else 1 + i % 200 end, 'note-' || i % 480, 'knees', timestamptz '2026-11-16Z' - make_interval(hours => i)
  from generate_series(1, 500) i;
insert into audit_log (actor, operation, user_id, at)
select 'coach ' || i % 5, (array['read profile', 'export', 'change phone'])[1 + i % 3], 1 + i % 200, timestamptz '2026-11-16Z' - make_interval(days => 400 - i)
  from generate_series(0, 399) i;
analyze;
