-- names that break careless programs
create schema "Schöne Grüße";
create schema "a.b";
create schema "100%s \ $1";
create schema "0123456789012345678901234567890123456789012345678901234567890ab";
create table "Schöne Grüße"."dot.ted" ("select" int primary key, "x.y" text, "x""y" text, "it's" text, " lead trail " text, "UPPER" text, "пример 例 🙂" text);
insert into "Schöne Grüße"."dot.ted" select i, i, i + 1, i + 2, i + 3, i + 4, '🙂' || i from generate_series(1, 50) i;
create table "a.b"."c.d" (x int, row int, "only" int);
create table "a.b"."c" (x int);
insert into "a.b"."c.d" values (1, 2, 3);
create table "100%s \ $1"."new
line" (a int, "tab	tab" int);
insert into "100%s \ $1"."new
line" values (1, 2);
create table "0123456789012345678901234567890123456789012345678901234567890ab"."0123456789012345678901234567890123456789012345678901234567890ab" (
  "0123456789012345678901234567890123456789012345678901234567890ab" serial primary key);
insert into "0123456789012345678901234567890123456789012345678901234567890ab"."0123456789012345678901234567890123456789012345678901234567890ab" values (default), (default);
create table "-- Name: x; Type: TABLE; Schema: public; Owner: y" ("; drop table x" int);
create table "x" (x text, t text, source text);
insert into x values ('x', 't', 'source');
create sequence "It's a ""sequence"".1" start 7;
select nextval('"It''s a ""sequence"".1"');
create view "View "" 'of' %s" as select * from x;
create function "Fun.ction"("Arg" int) returns int language sql as 'select 1';
create index "In dex" on x ("source");
create type "Mood.s" as enum ('so so', 'it''s', 'a"b', '100%', 'ü');
create table moods (m "Mood.s", ms "Mood.s"[]);
insert into moods values ('so so', '{"it''s","a\"b"}'), ('ü', null);
comment on table x is E'a comment\n-- Name: lies; Type: TABLE; Schema: public; Owner: me\n with ''quotes'' and "more"';
create table "public.confusing" (a int);
create schema public2; create table public2.confusing (a int);
