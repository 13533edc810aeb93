import type { Outcome } from "../core/outcome.ts"
import { formatBytes } from "../core/size.ts"
import { failedHeaderAssertion, failedJsonAssertion, isAssertedAbout } from "./assertions.ts"
import { decodeBody, isHtml, parseJson, printableValue, withoutSecrets } from "./body-text.ts"
import type { CheckResult, FailureClass } from "./check.ts"
import { recognizeGateway } from "./gateway-page.ts"
import { type HealthBody, readHealthBody } from "./health-body.ts"
import type { HttpAnswer } from "./http-exchange.ts"
import { gatewayFailure, tellPause } from "./http-gateway.ts"
import type { HttpProbe } from "./service.ts"

/** What an answer means; `words` is the end of a sentence that begins with the address. */
export type Judgement = Pick<CheckResult, "failure" | "version" | "numbers"> & { outcome: Outcome; words: string }

type Seen = {
  answer: HttpAnswer
  probe: HttpProbe
  /** Path of the address that answered in the end. */
  path: string
  text: string
  contentType: string
  health?: HealthBody
  isAccepted: boolean
}
type Problem = { class: FailureClass; words: string }

/**
 * Judges an answer: what the configuration asks for, over what the body says of itself, over the status. A status that is not 2xx and
 * was asked for makes the body's own word not count, and so does an assertion on that very word.
 */
export async function judgeAnswer(answer: HttpAnswer, probe: HttpProbe, path: string): Promise<Judgement> {
  const contentType = answer.headers["content-type"] ?? ""
  const text = withoutSecrets(decodeBody(answer.bytes, contentType), probe.secrets ?? [])
  const health = answer.isCut ? undefined : readHealthBody(text, contentType, probe.limits)
  const isAccepted = probe.expect.status?.includes(answer.status) ?? isSuccess(answer.status)
  const judgement = await judgeSeen({ answer, probe, path, text, contentType, health, isAccepted })
  return {
    ...judgement,
    ...(health?.version !== undefined && { version: health.version }),
    ...(health && Object.keys(health.numbers).length > 0 && { numbers: health.numbers }),
  }
}

/** Whether anything in the body can change the judgement beyond what the answer says of itself. */
export function isBodyAsked({ expect }: HttpProbe): boolean {
  return expect.text !== undefined || expect.noText !== undefined || expect.json.length > 0 || isJsonExpected(expect)
}

async function judgeSeen(seen: Seen): Promise<Judgement> {
  const { answer, probe, isAccepted, health } = seen
  const said = `answered ${answer.status}`
  if (!isAccepted) {
    const gateway = gatewayFailure(answer, seen.text)
    if (gateway) return fail(gateway, said)
  }
  const host = hostInTheWay(seen)
  if (host) return fail({ class: host.class, words: `${host.name}: ${host.problem}` }, `${said}, but `)
  const isTold = isAccepted && !isSuccess(answer.status) ? true : await isVerdictAsserted(seen)
  const verdict = isTold ? "ok" : verdictOf(seen)
  const isOverruled = probe.expect.status === undefined && (isTold || verdict === "ok" || verdict === "degraded")
  if (!isAccepted && !isOverruled) return refused(seen, said)
  const problem = pageProblem(seen) ?? sizeProblem(seen) ?? (await assertionProblem(seen))
  if (problem) return fail(tellPause(seen.text, problem), `${said}, but `, verdict === "ok" ? undefined : health)
  if (verdict === "failing") return fail({ class: "body", words: tellHealth(health) }, `${said}, but `, health)
  if (verdict === "degraded") {
    const failure = { class: "body", ...component(health) } as const
    return { outcome: "warn", words: `${said}, but ${tellHealth(health)}`, failure }
  }
  return { outcome: "ok", words: isAccepted ? said : `${said}, and says that all is well` }
}

/** A host answers 2xx in the app's place while that wakes up, or to keep robots out; who asked for a text or a status judges by that. */
function hostInTheWay({ answer, probe, text }: Seen) {
  const isJudged = probe.expect.status !== undefined || probe.expect.text !== undefined || probe.expect.json.length > 0
  if (isJudged || !isSuccess(answer.status)) return undefined
  return recognizeGateway({ status: answer.status, headers: answer.headers, body: text })
}

function fail({ class: failureClass, words }: Problem, before: string, health?: HealthBody): Judgement {
  const told = health && failureClass !== "body" && isBad(health) ? `; ${tellHealth(health)}` : ""
  const glue = before.endsWith(" ") ? "" : ": "
  return {
    outcome: "fail",
    words: `${before}${glue}${words}${told}`,
    failure: { class: failureClass, ...component(health) },
  }
}

/** A status that is not right, and nothing in the answer says otherwise. */
function refused({ answer, probe, health, text, contentType }: Seen, said: string): Judgement {
  const wanted = probe.expect.status?.join(" or ") ?? "2xx"
  const status: Problem = { class: "status", words: `expected ${wanted}` }
  if (health && isBad(health)) {
    return fail({ class: "body", words: `${status.words}, and ${tellHealth(health)}` }, said, health)
  }
  const location = answer.status >= 300 && answer.status < 400 ? ", and redirects are not followed" : ""
  const page = isHtml(text, contentType) && isJsonExpected(probe.expect) ? ", and it is a page (HTML)" : ""
  return fail(tellPause(text, { ...status, words: `${status.words}${location}${page}` }), said)
}

/** Without a verdict of its own the answer is as its worst component; 202 then tells that it still works. */
function verdictOf({ health, answer, isAccepted }: Seen): HealthBody["verdict"] {
  if (health === undefined) return "unknown"
  if (health.member !== undefined) return health.verdict
  if (answer.status === 202 && health.verdict !== "unknown") return "degraded"
  return isAccepted || health.verdict === "failing" ? health.verdict : "unknown"
}

async function isVerdictAsserted({ health, text, probe }: Seen): Promise<boolean> {
  if (!health?.member || probe.expect.json.length === 0) return false
  const value = parseJson(text)?.value
  if (!(await isAssertedAbout(value, probe.expect.json, health.member))) return false
  return (await failedJsonAssertion(value, probe.expect.json)) === undefined
}

const healthPath =
  /\/(_?health(z|check|_check|-check)?|api\/([\w.-]+\/)*status|(readi|live)ness|readyz?|livez?|alive|ping|heartbeat|up)(\/(deep|detailed|full|ready|live|readiness|liveness|db|database))?\/?$/i
const spaMark =
  /<div[^>]+id="?(root|app|__next|__nuxt|svelte|q-app)\b|<app-root|<script[^>]+type="?module|\/_next\/static\//i

/** A page where JSON was expected, and the index.html that an app in the browser gets for every path that its server does not know. */
function pageProblem({ text, contentType, probe, path, answer }: Seen): Problem | undefined {
  const isPage = isHtml(text, contentType)
  if (isJsonExpected(probe.expect)) {
    if (isPage) return { class: "body", words: "it is a page (HTML) where JSON was expected" }
    if (answer.isCut || parseJson(text)) return undefined
    return {
      class: "body",
      words: text.trim() === "" ? "it is empty where JSON was expected" : "it is not the JSON that was expected",
    }
  }
  const isSpa = isPage && probe.expect.text === undefined && healthPath.test(path) && spaMark.test(text)
  const remedy = "check the path, or set expect.text"
  return isSpa
    ? { class: "body", words: `it is the app's own page (HTML) where a health answer was expected: ${remedy}` }
    : undefined
}

function sizeProblem({ answer, probe }: Seen): Problem | undefined {
  if (!answer.isCut || !isBodyAsked(probe)) return undefined
  return { class: "too-large", words: `it is larger than ${formatBytes(probe.maxBytes)} (maxBytes)` }
}

async function assertionProblem({ answer, probe: { expect }, text }: Seen): Promise<Problem | undefined> {
  const words =
    failedHeaderAssertion(answer.headers, expect.headers) ??
    failedText(text, expect) ??
    (expect.json.length > 0 ? await failedJsonAssertion(parseJson(text)?.value, expect.json) : undefined)
  return words === undefined ? undefined : { class: "assertion", words }
}

function failedText(body: string, { text, noText }: HttpProbe["expect"]): string | undefined {
  if (text !== undefined && !body.includes(text)) return `the text ${printableValue(text)} is missing`
  return noText !== undefined && body.includes(noText) ? `the text ${printableValue(noText)} is there` : undefined
}

function tellHealth(health: HealthBody | undefined): string {
  const verdict = health?.component === undefined ? health?.verdict : health.componentVerdict
  const state = verdict === "degraded" ? "degraded" : "failing"
  return `it says that ${health?.component ?? "it"} is ${state}${health?.words ? ` (${health.words})` : ""}`
}

function isBad({ verdict }: HealthBody): boolean {
  return verdict === "failing" || verdict === "degraded"
}

function component(health: HealthBody | undefined): { component?: string } {
  return health?.component === undefined ? {} : { component: health.component }
}

function isJsonExpected({ format, json }: HttpProbe["expect"]): boolean {
  return format === "json" || json.length > 0
}

function isSuccess(status: number): boolean {
  return status >= 200 && status < 300
}
