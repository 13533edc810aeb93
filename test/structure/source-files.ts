import { readdirSync, readFileSync } from "node:fs"
import path from "node:path"

export type SourceFile = {
  file: string
  text: string /** The text without comments and without what is in quotes. */
  code: string
}

/** The files below folders of the checkout whose names end so, in order, as paths from its top. */
export function sourceFiles(folders: string[], ending = ".ts"): SourceFile[] {
  const files = folders.flatMap((folder) =>
    readdirSync(folder, { recursive: true, encoding: "utf8" }).map((name) => path.posix.join(folder, name)),
  )
  return files
    .filter((file) => file.endsWith(ending))
    .sort()
    .map((file) => {
      const text = readFileSync(file, "utf8")
      return { file, text, code: withoutTexts(text) }
    })
}

/** What files import, as written. */
export function importsOf(text: string): string[] {
  const statements =
    /^\s*(?:import|export)\b[^"'`;]*?\bfrom\s*["']([^"']+)["']|^\s*import\s*["']([^"']+)["']|\bimport\(\s*["']([^"']+)["']/gm
  return Array.from(text.matchAll(statements), (match) => match[1] ?? match[2] ?? match[3] ?? "")
}

/** Lines of code that match, as `file:line`. */
export function linesWith(files: SourceFile[], pattern: RegExp): string[] {
  return files.flatMap(({ file, code }) =>
    Array.from(code.matchAll(pattern), (match) => `${file}:${code.slice(0, match.index).split("\n").length}`),
  )
}

/** Comments and texts become blanks, and line breaks stay, so that positions are right. Template literals are kept. */
function withoutTexts(text: string): string {
  const blank = (match: string) => match.replaceAll(/[^\n]/g, " ")
  return text.replaceAll(/\/\*[\s\S]*?\*\/|(?<![:\\"'`])\/\/[^\n]*|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'/g, blank)
}
