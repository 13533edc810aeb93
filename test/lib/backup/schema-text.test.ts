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

  it("does not call two texts equal because their objects are, when their order is not", () => {
    const expected = normalizeSchemaText(table("id int"))
    const [, first = "", second = ""] = expected.split(/(?=--\n-- Name)/)
    const swapped = expected.replace(first + second, second + first)
    expect(swapped).not.toBe(expected)
    expect(compareSchemaTexts(expected, swapped).length).toBeGreaterThan(0)
  })
})
