import { evenCron } from "./warm-cron.ts"
import { describeHours, type WarmHours } from "./warm-hours.ts"

/** A web service as a scheduler elsewhere pings it. */
export type WarmPing = {
  name: string
  url: string
  everyMs: number
  hours: WarmHours
  /** How long waking up may take. */
  wakeMs: number
  marker?: string
}

/** Where the workflow is that is started from outside. */
export type Dispatch = { repository: string; branch: string; workflow: string }

const tokenSecret = "nightshift_github_token"

/**
 * SQL that lets pg_cron ping each service through pg_net. It may be run again: a job is known by its name. The active hours are
 * asked when a job runs, on the clock of their time zone, for crons know only UTC.
 */
export function pgCronPings(pings: readonly WarmPing[]): string {
  return script(
    [
      "Pings from inside Postgres, with pg_cron and pg_net. Run it where pg_cron lives, on Supabase in the SQL editor; again after each change.",
      "What was answered: select * from net._http_response order by created desc; how jobs ran: select * from cron.job_run_details.",
    ],
    pings.map((ping) => scheduled(ping)),
  )
}

function scheduled({ name, url, everyMs, hours, wakeMs }: WarmPing): string {
  const request = [
    `select net.http_get(`,
    `  url := ${literal(url)},`,
    `  headers := '{"user-agent": "nightshift-keep-warm"}'::jsonb,`,
    `  timeout_milliseconds := ${Math.ceil(wakeMs)}`,
    `)${guard([hours], "where")}`,
  ].join("\n")
  return job(`nightshift-warm-${name}`, everyMs, [hours], request)
}

/** SQL that lets pg_cron start the workflow on GitHub, with a token that is kept in Supabase's Vault. It may be run again. */
export function pgCronDispatch(
  { repository, branch, workflow }: Dispatch,
  everyMs: number,
  hours: readonly WarmHours[],
): string {
  const request = [
    `select net.http_post(`,
    `  url := ${literal(`https://api.github.com/repos/${repository}/actions/workflows/${workflow}/dispatches`)},`,
    `  body := jsonb_build_object('ref', ${literal(branch)}),`,
    `  headers := jsonb_build_object(`,
    `    'authorization', 'Bearer ' || decrypted_secret,`,
    `    'accept', 'application/vnd.github+json',`,
    `    'content-type', 'application/json',`,
    `    'user-agent', 'nightshift-keep-warm',`,
    `    'x-github-api-version', '2022-11-28'`,
    `  ),`,
    `  timeout_milliseconds := 10000`,
    `) from vault.decrypted_secrets where name = ${literal(tokenSecret)}${guard(hours, "and")}`,
  ].join("\n")
  return script(
    [
      `Starts ${workflow} of ${repository} from inside Postgres, with pg_cron and pg_net. Each run bills a minute of Actions at least.`,
      "The token: a fine-grained one of this repository alone, with the right Actions (read and write), in Supabase's Vault, once:",
      `  select vault.create_secret('github_pat_…', '${tokenSecret}');`,
    ],
    [tokenCheck, job(`nightshift-dispatch-${workflow.replace(/\.ya?ml$/, "")}`, everyMs, hours, request)],
  )
}

const tokenCheck = `do $nightshift$
begin
  if not exists (select from vault.decrypted_secrets where name = '${tokenSecret}') then
    raise exception 'the secret ${tokenSecret} is missing: select vault.create_secret(''github_pat_…'', ''${tokenSecret}'')';
  end if;
end
$nightshift$;`

/** Extensions are only asked for where their functions are missing: making them may need more rights than using them. */
const extensions = `do $nightshift$
begin
  if to_regnamespace('cron') is null then create extension pg_cron; end if;
  if to_regnamespace('net') is null then create extension pg_net; end if;
end
$nightshift$;`

function script(comments: readonly string[], statements: readonly string[]): string {
  const lines = comments.map((comment) => `-- ${comment}`)
  return `${[lines.join("\n"), "begin;", extensions, ...statements, "commit;"].join("\n\n")}\n`
}

function job(name: string, everyMs: number, hours: readonly WarmHours[], command: string): string {
  const { minute, hour, text } = evenCron(everyMs)
  const when = [...new Set(hours.map(describeHours))].join("; ")
  return [
    `-- Every ${text}, ${when}.`,
    `-- To end it: select cron.unschedule(jobid) from cron.job where jobname = '${name}';`,
    `select cron.schedule(${literal(name)}, '${minute} ${hour} * * *', ${quoted(command)});`,
  ].join("\n")
}

/** The condition, after `word`, that it is an active hour of any now; nothing when it always is. */
function guard(hours: readonly WarmHours[], word: "where" | "and"): string {
  const conditions = [...new Set(hours.map(activeNow))]
  return conditions.includes("") ? "" : ` ${word} (\n  ${conditions.join("\n  or ")}\n)`
}

/** The clock is moved back by the begin of the window, so that a window over midnight has one day. */
function activeNow({ beginMinute, lengthMinutes, days, timezone }: WarmHours): string {
  const moved = `(now() at time zone ${literal(timezone)} - interval '${beginMinute} minutes')`
  return [
    ...(lengthMinutes === 1440 ? [] : [`${moved}::time < time '00:00' + interval '${lengthMinutes} minutes'`]),
    ...(days.length === 7 ? [] : [`extract(isodow from ${moved}) in (${days.join(", ")})`]),
  ].join(" and ")
}

function literal(text: string): string {
  const doubled = text.replaceAll("'", "''")
  return text.includes("\\") ? `E'${doubled.replaceAll("\\", "\\\\")}'` : `'${doubled}'`
}

/** Dollar quotes with a tag that the text does not have. */
function quoted(text: string): string {
  let tag = "$nightshift$"
  while (text.includes(tag)) tag = `${tag.slice(0, -1)}x$`
  return `${tag}\n${text}\n${tag}`
}
