-- The meal planner: its job tables and logs, with a few thousand rows. All times lie before 2026-11-16 00:00 UTC.
create table scheduled_jobs (
  id bigint generated always as identity primary key,
  kind text not null,
  status text not null default 'active',
  run_at timestamptz not null
);
create table job_executions (
  id bigint generated always as identity primary key,
  job_id bigint not null references scheduled_jobs,
  status text not null check (status in ('queued', 'running', 'done', 'failed')),
  error text,
  attempts integer not null default 1,
  started_at timestamptz not null,
  finished_at timestamptz
);
create index job_executions_job on job_executions (job_id);
create index job_executions_started on job_executions (started_at);
create index job_executions_running on job_executions (started_at) where status = 'running';
create table logs (
  id bigint generated always as identity primary key,
  level text not null check (level in ('debug', 'info', 'error')),
  message text not null,
  at timestamptz not null
);
create index logs_level_at on logs (level, at);
create table pantry (
  id bigint generated always as identity primary key,
  item text not null,
  quality numeric(6, 4) not null check (quality between 0 and 1),
  quality_at_purchase numeric(6, 4) not null,
  bought_at timestamptz not null,
  state text not null default 'good'
);

insert into scheduled_jobs (kind, run_at)
select (array['weekly-plan', 'e-mail', 'shopping-list'])[1 + i % 3], timestamptz '2026-11-16Z' - make_interval(hours => i) from generate_series(1, 60) i;
insert into job_executions (job_id, status, error, attempts, started_at, finished_at)
select 1 + i % 60, case when i % 211 = 0 then 'running' when i % 19 = 0 then 'failed' else 'done' end, case when i % 19 = 0 then 'timeout' end, 1 + i % 3,
       timestamptz '2026-11-16Z' - make_interval(hours => i), case when i % 211 > 0 then timestamptz '2026-11-16Z' - make_interval(hours => i) + interval '1 minute' end
  from generate_series(1, 2000) i;
insert into job_executions (job_id, status, started_at) values (1, 'running', timestamptz '2026-11-16Z' - interval '5 minutes');
insert into logs (level, message, at)
select (array['debug', 'info', 'error'])[1 + i % 3], 'line ' || i, timestamptz '2026-11-16Z' - make_interval(hours => i) from generate_series(1, 2400) i;
insert into pantry (item, quality, quality_at_purchase, bought_at)
select 'item ' || i, 1, 0.8 + (i % 3) / 10.0, timestamptz '2026-11-16Z' - make_interval(hours => 7 * i) from generate_series(1, 100) i;
analyze;
