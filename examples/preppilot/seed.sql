-- About 200,000 rows for PrepPilot, the same on every run: each value is a hash of its row's number.
-- All times lie before 2026-11-16 00:00 UTC, the Monday that the example calls today.
set role preppilot_app;
set search_path = public, extensions;
set timezone = 'UTC';

-- A number from 0 up to n - 1 that looks random; `salt` tells the uses apart.
create function pg_temp.pick(i bigint, salt bigint, n integer) returns integer
  language sql immutable
  as $$ select (((hashint8extended(i, salt) % n) + n) % n)::integer $$;
create function pg_temp.user_id(i bigint) returns uuid
  language sql immutable
  as $$ select md5('user ' || i)::uuid $$;
create function pg_temp.today() returns timestamptz
  language sql immutable
  as $$ select timestamptz '2026-11-16 00:00:00+00' $$;

insert into users (id, identifier, household, timezone, diets, settings, created_at, deletion_requested_at)
select pg_temp.user_id(i), encode(sha256(convert_to('household ' || i || '@example.com', 'UTF8')), 'hex'), 1 + pg_temp.pick(i, 1, 6),
       (array['Europe/London', 'Europe/Berlin', 'America/New_York', 'Asia/Tokyo'])[1 + pg_temp.pick(i, 2, 4)],
       (array['{}', '{vegetarian}', '{vegan}', '{"low salt",halal}', '{Crème-free}']::text[])[1 + pg_temp.pick(i, 3, 5)]::text[],
       jsonb_build_object('units', (array['metric', 'imperial'])[1 + pg_temp.pick(i, 4, 2)], 'reminders', pg_temp.pick(i, 5, 3) > 0),
       pg_temp.today() - make_interval(hours => 24 * 7 + pg_temp.pick(i, 6, 24 * 180)),
       case when pg_temp.pick(i, 7, 200) = 0 then pg_temp.today() - make_interval(hours => pg_temp.pick(i, 8, 600)) end
  from generate_series(1, 2000) i;

insert into user_sessions (user_id, token_hash, created_at, expires_at)
select pg_temp.user_id(1 + pg_temp.pick(i, 11, 2000)), sha256(convert_to('session ' || i, 'UTF8')), opened.at,
       opened.at + make_interval(days => 14)
  from generate_series(1, 24000) i,
       lateral (select pg_temp.today() - make_interval(mins => pg_temp.pick(i, 12, 60 * 24 * 120)) as at) opened;

insert into ingredients (name, category, half_life, usual_place, allergens, per_100_g)
select kinds[1 + (i - 1) / 20] || ' ' || forms[1 + (i - 1) % 20], categories[1 + (i - 1) / 20],
       make_interval(hours => 12 + pg_temp.pick(i, 21, 24 * 30)), (enum_range(null::storage_place))[1 + pg_temp.pick(i, 22, 3)],
       (array['{}', '{}', '{gluten}', '{milk}', '{nuts,sesame}']::text[])[1 + pg_temp.pick(i, 23, 5)]::text[],
       array[20 + pg_temp.pick(i, 24, 600), pg_temp.pick(i, 25, 300) / 10.0, pg_temp.pick(i, 26, 700) / 10.0, pg_temp.pick(i, 27, 400) / 10.0]
  from generate_series(1, 400) i,
       (select array['Carrot', 'Spinach', 'Potato', 'Tomato', 'Apple', 'Lemon', 'Chicken', 'Beef', 'Cod', 'Salmon',
                     'Egg', 'Yoghurt', 'Cheddar', 'Tofu', 'Lentil', 'Rice', 'Oat', 'Pasta', 'Basil', 'Jalapeño'] as kinds,
               array['vegetable', 'vegetable', 'vegetable', 'vegetable', 'fruit', 'fruit', 'meat', 'meat', 'fish', 'fish',
                     'egg', 'dairy', 'dairy', 'protein', 'protein', 'grain', 'grain', 'grain', 'herb', 'spice'] as categories,
               array['raw', 'diced', 'roast', 'frozen', 'dried', 'smoked', 'organic', 'ground', 'sliced', 'whole',
                     'baby', 'wild', 'pickled', 'cooked', 'fresh', 'mixed', 'young', 'red', 'green', 'golden'] as forms) words;

insert into fridge_items (user_id, ingredient_id, place, bought, used, freshness, best_before, updated_at, discarded_at)
select pg_temp.user_id(1 + pg_temp.pick(i, 31, 2000)), 1000 + pg_temp.pick(i, 32, 400), (enum_range(null::storage_place))[1 + pg_temp.pick(i, 33, 3)],
       amount.bought, amount.bought * pg_temp.pick(i, 35, 101) / 100, pg_temp.pick(i, 36, 1001) / 1000.0,
       case when pg_temp.pick(i, 37, 5) > 0 then amount.at::date + 2 + pg_temp.pick(i, 38, 20) end, amount.at,
       case when pg_temp.pick(i, 39, 8) = 0 then amount.at end
  from generate_series(1, 40000) i,
       lateral (select 50 + pg_temp.pick(i, 34, 1950) as bought,
                       pg_temp.today() - make_interval(mins => pg_temp.pick(i, 40, 60 * 24 * 45)) as at) amount;

insert into recipes (slug, title, method, minutes, meals, serves, published)
select 'recipe-' || i, style || ' ' || dish || case when i > 400 then ' No. ' || i else '' end,
       'Wash and cut everything for the ' || dish || E'. Cook it until done.\nServe with ' || side || '.',
       10 + pg_temp.pick(i, 41, 80), array[(enum_range(null::meal))[1 + pg_temp.pick(i, 42, 4)], 'dinner'],
       row(200 + pg_temp.pick(i, 43, 400), 1 + pg_temp.pick(i, 44, 6))::portion, pg_temp.pick(i, 45, 20) > 0
  from generate_series(1, 600) i,
       lateral (select (array['Grilled', 'Slow-cooked', 'Stir-fried', 'Baked', 'Steamed'])[1 + pg_temp.pick(i, 46, 5)] as style,
                       (array['carrot soup', 'lentil dal', 'salmon bowl', 'tofu curry', 'oat bake', 'pâté'])[1 + pg_temp.pick(i, 47, 6)] as dish,
                       (array['rice', 'bread & butter', '"green" salad', 'lemon'])[1 + pg_temp.pick(i, 48, 4)] as side) words;

insert into recipe_ingredients (recipe_id, ingredient_id, amount, optional)
select 1 + (i - 1) / 6, 1000 + ((i - 1) % 6) * 66 + pg_temp.pick(i, 51, 66), 5 + pg_temp.pick(i, 52, 500), pg_temp.pick(i, 53, 10) = 0
  from generate_series(1, 3600) i;

-- Six weeks of plans a household; this week's is active.
insert into plans (user_id, week, status, is_static, replaces, created_at, updated_at)
select pg_temp.user_id(1 + (i - 1) % 2000), daterange(week.monday, week.monday + 7),
       (case when week.ago = 0 then 'active' when pg_temp.pick(i, 61, 9) = 0 then 'stale' else 'archived' end)::plan_status,
       pg_temp.pick(i, 62, 25) = 0, case when i > 2000 and pg_temp.pick(i, 63, 4) = 0 then i - 2000 end,
       week.monday - 2 + time '18:00', week.monday - 1 + time '09:30'
  from generate_series(1, 12000) i,
       lateral (select 5 - (i - 1) / 2000 as ago, date '2026-11-09' - 7 * (5 - (i - 1) / 2000) as monday) week;

update users u set current_plan_id = p.id from plans p where p.user_id = u.id and p.status = 'active';

insert into preps (plan_id, user_id, recipe_id, meal, outcome, at, planned_minutes, spent_minutes, note)
select plan.id, pg_temp.user_id(1 + (plan.id - 1) % 2000), 1 + pg_temp.pick(i, 72, 600), (enum_range(null::meal))[1 + pg_temp.pick(i, 73, 4)],
       result.outcome, timestamptz '2026-10-05 00:00:00+00' + make_interval(days => 7 * ((plan.id - 1) / 2000)::int, mins => 360 + pg_temp.pick(i, 74, 9600)),
       result.minutes, case when result.outcome in ('done', 'adapted') then greatest(1, result.minutes - 15 + pg_temp.pick(i, 76, 25)) end,
       case when pg_temp.pick(i, 77, 30) = 0 then (array['too salty', 'kids loved it', E'used leftovers\nfrom Monday', 'naïve timing; "later"'])[1 + pg_temp.pick(i, 78, 4)] end
  from generate_series(1, 42000) i,
       lateral (select 1 + (i - 1) % 12000 as id) plan,
       lateral (select (array['done', 'done', 'done', 'done', 'adapted', 'adapted', 'skipped', 'planned'])[1 + pg_temp.pick(i, 71, 8)]::prep_outcome as outcome,
                       (20 + pg_temp.pick(i, 75, 70))::smallint as minutes) result;

insert into prep_steps (prep_id, position, instruction, minutes, parallel)
select 1 + (i - 1) / 2, 1 + (i - 1) % 2, (array['wash', 'chop', 'marinate', 'roast', 'portion', 'chill'])[1 + pg_temp.pick(i, 81, 6)],
       (10 + pg_temp.pick(i, 82, 250)) / 10.0, pg_temp.pick(i, 83, 3) = 0
  from generate_series(1, 40000) i;

insert into pdf_exports (id, user_id, plan_id, pages, size_bytes, sha256, thumbnail, exported_at)
select md5('export ' || i)::uuid, pg_temp.user_id(1 + (plan.id - 1) % 2000), plan.id, 1 + pg_temp.pick(i, 92, 8), 20000 + pg_temp.pick(i, 93, 400000),
       sha256(convert_to('export ' || i, 'UTF8')), case when pg_temp.pick(i, 94, 4) > 0 then sha512(convert_to('thumbnail ' || i, 'UTF8')) end,
       pg_temp.today() - make_interval(mins => pg_temp.pick(i, 95, 60 * 24 * 42))
  from generate_series(1, 4000) i, lateral (select 1 + pg_temp.pick(i, 91, 12000) as id) plan;

insert into events (occurred_at, user_id, kind, payload)
select pg_temp.today() - make_interval(secs => pg_temp.pick(i, 101, 60 * 60 * 24 * 125)),
       case when pg_temp.pick(i, 102, 10) > 0 then pg_temp.user_id(1 + pg_temp.pick(i, 103, 2000)) end,
       (array['plan.opened', 'plan.adapted', 'prep.done', 'prep.skipped', 'pdf.exported', 'engine.failed'])[1 + pg_temp.pick(i, 104, 6)],
       jsonb_build_object('ms', pg_temp.pick(i, 105, 4000), 'version', '1.' || pg_temp.pick(i, 106, 9), 'text', repeat('é', pg_temp.pick(i, 107, 12)))
  from generate_series(1, 30000) i;

insert into weights (version, feature, weight, samples, valid)
select version, feature, (pg_temp.pick(version * 100 + position, 111, 2000001) - 1000000) / 1e6, 50 + pg_temp.pick(version * 100 + position, 112, 40000),
       tstzrange(timestamptz '2026-08-24 00:00:00+00' + make_interval(days => 7 * version),
                 case when version < 12 then timestamptz '2026-08-31 00:00:00+00' + make_interval(days => 7 * version) end)
  from generate_series(1, 12) version,
       unnest(array['freshness', 'half_life', 'minutes', 'oven_free', 'hob_free', 'batch_size', 'day_of_week', 'hour', 'household', 'repeat',
                    'season', 'skipped_before', 'adapted_before', 'cost', 'allergens', 'leftovers', 'weather', 'holiday', 'novelty', 'bias'])
         with ordinality as features (feature, position);

insert into app_settings (key, value, updated_at)
values ('engine', '"adaptive"', pg_temp.today()), ('schema_version', '41', pg_temp.today()),
       ('quiet_hours', '{"from": "22:00", "to": "06:30"}', pg_temp.today()), ('banner', 'null', pg_temp.today());

refresh materialized view weekly_outcomes;

drop function pg_temp.pick(bigint, bigint, integer), pg_temp.user_id(bigint), pg_temp.today();
reset timezone;
reset search_path;
reset role;
