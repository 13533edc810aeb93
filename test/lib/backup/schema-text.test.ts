import { describe, expect, it } from "vitest"
import { compareSchemaTexts, normalizeSchemaText } from "../../../lib/backup/schema-text.ts"

const table = (body: string) => `--
-- PostgreSQL database dump
--

\\restrict abc

-- Dumped from database version 15.18
-- Dumped by pg_dump version 15.18

SET row_security = off;

--
-- Name: notes; Type: TABLE; Schema: public; Owner: alice
--

CREATE TABLE public.notes (${body});

--
-- Name: notes notes_own; Type: POLICY; Schema: public; Owner: alice
--

CREATE POLICY notes_own ON public.notes;

\\unrestrict abc
`

describe("schema text", () => {
  it("is the same for two dumps that differ in versions and keys only", () => {
    const other = table("id int").replaceAll("abc", "xyz").replaceAll("15.18", "15.19")
    expect(normalizeSchemaText(other)).toBe(normalizeSchemaText(table("id int")))
  })

  it("names the object that changed, is missing or was added", () => {
    const expected = normalizeSchemaText(table("id int"))
    const heading = "Name: notes; Type: TABLE; Schema: public; Owner: alice"
    expect(compareSchemaTexts(expected, normalizeSchemaText(table("id bigint")))).toEqual([
      { heading, kind: "changed" },
    ])
    const withoutPolicy = expected.replace(/--\n-- Name: notes notes_own[\s\S]*$/, "")
    const policy = "Name: notes notes_own; Type: POLICY; Schema: public; Owner: alice"
    expect(compareSchemaTexts(expected, withoutPolicy)).toContainEqual({ heading: policy, kind: "missing" })
    expect(compareSchemaTexts(withoutPolicy, expected)).toContainEqual({ heading: policy, kind: "added" })
  })

  it("says when all objects are the same and their order is not", () => {
    const expected = normalizeSchemaText(table("id int"))
    const [, first = "", second = ""] = expected.split(/(?=--\n-- Name)/)
    const swapped = expected.replace(first + second, second + first)
    expect(swapped).not.toBe(expected)
    expect(compareSchemaTexts(expected, swapped)).toEqual([{ heading: "objects of the schema dump", kind: "moved" }])
  })

  const entry = (name: string, type: string, body: string, owner = "alice") =>
    `--\n-- Name: ${name}; Type: ${type}; Schema: public; Owner: ${owner}\n--\n\n${body}\n\n\n`

  it("takes the roles of a policy in any order, and no others", () => {
    const policy = (roles: string) =>
      entry("p", "POLICY", `CREATE POLICY "a TO b" ON t TO ${roles} USING ((x TO y, z));`)
    expect(compareSchemaTexts(policy('bob, "Odd, ""role""", alice'), policy('"Odd, ""role""", alice, bob'))).toEqual([])
    expect(compareSchemaTexts(policy("bob, alice"), policy("bob"))).toMatchObject([{ kind: "changed" }])
    expect(compareSchemaTexts(policy("bob, alice"), policy("bob, carol"))).toMatchObject([{ kind: "changed" }])
  })

  it("lets the members of an extension belong to whoever restored it, and compares what others may do with them", () => {
    const acl = (owner: string, ...lines: string[]) => entry("FUNCTION armor(text)", "ACL", lines.join("\n"), owner)
    const reader = "GRANT ALL ON FUNCTION armor(text) TO reader;"
    const expected = acl("platform", "GRANT ALL ON FUNCTION armor(text) TO platform WITH GRANT OPTION;", reader)
    expect(compareSchemaTexts(expected, acl("scratch", reader))).toEqual([])
    expect(compareSchemaTexts(expected, acl("scratch", "GRANT ALL ON FUNCTION armor(text) TO writer;"))).toMatchObject([
      { kind: "changed" },
    ])
    expect(compareSchemaTexts(expected, acl("platform", reader))).toMatchObject([{ kind: "changed" }])
  })

  it("ascribes a tablespace and an access method to the table that has them, also when the table before is gone", () => {
    const place = (name: string) => `SET default_tablespace = ${name};\n\nSET default_table_access_method = heap;\n\n`
    const [a, b] = [entry("a", "TABLE", "CREATE TABLE a ();"), entry("b", "TABLE", "CREATE TABLE b ();")]
    const heading = "Name: b; Type: TABLE; Schema: public; Owner: alice"
    expect(compareSchemaTexts(place("''") + a + b, place("''") + b)).toMatchObject([{ kind: "missing" }])
    expect(compareSchemaTexts(place("''") + a + place("fast") + b, place("''") + a + b)).toEqual([
      { heading, kind: "changed" },
    ])
  })
})
