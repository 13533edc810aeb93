-- every built-in type with its odd values
create domain positive as int check (value > 0);
create domain loose as float8;
create domain padded as bpchar;
create type mood as enum ('sad', 'ok', 'happy');
create type pair as (n float8, t text, m mood);
create type nested as (p pair, ps pair[]);
create type floats as range (subtype = float8, subtype_diff = float8mi, multirange_type_name = multifloats);
create table numbers (a int2, b int4, c int8, d float4, e float8, f numeric, g numeric(10, 4), h money, i bool, j oid, k positive, l loose);
insert into numbers values
  (32767, 2147483647, 9223372036854775807, 'NaN', 'NaN', 'NaN', 'NaN', '92233720368547758.07', true, 4294967295, 1, 'NaN'),
  (-32768, -2147483648, -9223372036854775808, '-0', '-0', 0.000, 0, '-92233720368547758.08', false, 0, 2, '-0'),
  (0, 0, 0, 'Infinity', '-Infinity', 'Infinity', 0, 0, null, 1, 3, 'Infinity'),
  (1, 1, 1, 1.17549435e-38, 5e-324, '-Infinity', 1.0, 0.01, null, null, null, 0.1::float8 + 0.2),
  (1, 1, 1, 0.1, 0.1::float8 + 0.2, (repeat('9', 5000) || '.' || repeat('7', 3000))::numeric, 123456.7891, 1, true, 1, 1, 1),
  (null, null, null, 'Infinity'::float4 - 'Infinity'::float4, 'Infinity'::float8 - 'Infinity'::float8, 1.10, 1.1, null, null, null, null, 'Infinity'::float8 - 'Infinity'::float8),
  (null, null, null, null, null, null, null, null, null, null, null, null);
create table texts (a text, b varchar(10), c char(5), d name, e "char", f bpchar, g padded, h bytea, i bit(5), j bit varying, k xml, l json, m jsonb, n jsonpath, o uuid, p tsvector, q tsquery);
insert into texts values
  ('', '', '', '', '', '', '', '', B'00000', '', '<a>1</a>', '{"a": 1, "a":  2 }', '{"b": 1.10, "a": null, "é": "\u00e9"}', '$.a[*] ? (@.x > 1)', '00000000-0000-0000-0000-000000000000', '', ''),
  (E'tab\tnl\ncr\r\\back \\N \\.', 'é🙂', 'a  ', 'name', 'x', 'trail   ', 'a ', '\x00ff0a5c', B'10101', B'1', '<?xml version="1.0"?><a><!-- c --></a>', '[]', '[1e400, -0, 1.0]', 'strict $', gen_random_uuid(), to_tsvector('english', 'The quick brown foxes'), to_tsquery('english', 'fox & !dog')),
  ('\N', 'NULL', '', 'null', E'\\377', '   ', 'a  ', decode(repeat('00ff', 5000), 'hex'), null, B'', 'text only', 'null', 'null', null, null, '''it''''s'':1A,2B', '''a b'' <-> c:*A'),
  (repeat('long ', 100000), null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null),
  (null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null);
create table times (a date, b time, c timetz, d timestamp, e timestamptz, f interval, g interval day to second(3), h timestamptz(0));
insert into times values
  ('infinity', '24:00:00', '23:59:59.999999-15:59', 'infinity', 'infinity', '178000000 years', '1 day 00:00:01.123456', now()),
  ('-infinity', '00:00', '00:00+15:59', '-infinity', '-infinity', '-178000000 years', '-1 day', now()),
  ('4713-01-01 BC', '12:34:56.789', '12:00+05:30', '4713-01-01 BC', '4713-01-02 BC', '1 mon -1 day +01:00:00', null, null),
  ('5874897-12-31', null, null, '294276-12-31 23:59:59.999999', '294276-12-31 23:59:59.999999', '-1 year +2 days -3:04:05.6', null, null);
create table places (a point, b line, c lseg, d box, e path, f polygon, g circle, h inet, i cidr, j macaddr, k macaddr8);
insert into places values
  ('(NaN,-0)', '{1,2,3}', '[(0,0),(1,1)]', '(1,1),(0,0)', '[(0,0),(1,1)]', '((0,0),(1,1),(1,0))', '<(0,0),1e300>', '10.0.0.1', '10.0.0.0/8', '08:00:2b:01:02:03', '08:00:2b:01:02:03:04:05'),
  (point('Infinity'::float8 - 'Infinity'::float8, 0.1::float8 + 0.2), '{0,1,0}', '[(-0,0),(1,1)]', '(Infinity,1),(0,0)', '((0,0),(1,1))', '((0,0))', '<(0.1,0.2),0>', '10.0.0.1/8', '::1/128', null, null),
  (null, null, null, null, null, null, null, 'fe80::1/64', null, null, null);
create table ranges (a int4range, b int8range, c numrange, d tsrange, e tstzrange, f daterange, g int4multirange, h tstzmultirange, i floats, j multifloats);
insert into ranges values
  ('empty', '(,)', '[1.0,1.10]', '[2020-01-01,infinity)', '(,2020-01-01 00:00+00]', '[2020-01-01,2020-01-02]', '{[1,3),[5,7)}', '{}', '[NaN,NaN]', '{[-0,0]}'),
  (null, null, '[,NaN)', null, null, null, '{}', '{(,)}', '[0.1,0.30000000000000004)', '{}');
create table collections (a int[], b text[], c float8[], d pair, e pair[], f mood, g mood[], h positive[], i nested, j jsonb[], k bytea[], l numeric[], m timestamptz[], n int4range[], o point[]);
insert into collections values
  ('[2:3][0:1]={{1,2},{3,4}}', '{NULL,"NULL","","a,b","{}","\"","\\"}', array['NaN', '-0', 'Infinity', '0.1', 'Infinity'::float8 - 'Infinity'::float8], row('NaN', 'a,b("', 'ok'), array[row(-0.0, null, null)::pair, null, row(1e-300, '', 'sad')::pair], 'happy', '{sad,NULL,happy}', '{1,2}', row(row(1, 'x', 'ok'), array[row(2, E'\\', null)::pair]), array['{"a": [1, 2]}'::jsonb], array['\x00'::bytea, ''], '{1.0,1.00,NaN}', '{infinity,epoch}', '{empty,"[1,2)"}', '{"(1,2)"}'),
  ('{}', '{}', '{}', row(null, null, null), '{}', null, '{}', '{}', row(null, null), '{}', '{}', '{}', '{}', '{}', '{}'),
  (null, null, null, null, null, null, null, null, null, null, null, null, null, null, null);
create table references_to_the_catalogue (a regclass, b regtype, c regproc, d regprocedure, e regoper, f regoperator, g regnamespace, h regconfig, i regdictionary, j regcollation, k regclass[], l pg_lsn, m xid, n xid8, o tid, p cid, q pg_snapshot, r aclitem, s aclitem[], t int2vector, u oidvector, v regrole, w refcursor, x regclass);
insert into references_to_the_catalogue values ('numbers', 'mood', 'now', 'abs(int)', '||/', '+(int,int)', 'public', 'english', 'simple', '"C"', '{numbers,texts}', '16/B374D848', '123', '99999999999', '(1,2)', '3', '10:20:10,14,15', null, null, '1 2 3', '1 2 3', null, 'cursor', 987654);
create table without_columns ();
insert into without_columns default values; insert into without_columns default values;
create table all_dropped (a int, b text); insert into all_dropped values (1, 'x'), (2, 'y'); alter table all_dropped drop a, drop b;
create table some_dropped (a int, b text, c int); insert into some_dropped select i, i, i from generate_series(1, 100) i; alter table some_dropped drop b; alter table some_dropped add d int default 7;
create table without_rows (a int, b text);
create table same_rows (a int); insert into same_rows select 1 from generate_series(1, 1000);
create table composite_only (r numbers); insert into composite_only select n from numbers n;
