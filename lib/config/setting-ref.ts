/** Names a secret of the repository. The value is only in the environment of the runs that need it. */
export type SecretRef = { kind: "secret"; name: string }

/** Names a variable of the repository: not secret, but not the same for everybody. */
export type VariableRef = { kind: "variable"; name: string }

export type SettingRef = SecretRef | VariableRef

/** Refers to a secret by the name it has in the repository's settings and in the environment, such as `DATABASE_URL`. */
export function secret(name: string): SecretRef {
  return { kind: "secret", name }
}

/** Refers to a variable by the name it has in the repository's settings and in the environment, such as `BACKUP_RECIPIENTS`. */
export function variable(name: string): VariableRef {
  return { kind: "variable", name }
}

/** True for what `secret()` or `variable()` returned, whatever name it was given. */
export function isSettingRef(value: unknown): value is SettingRef {
  if (typeof value !== "object" || value === null || !("kind" in value) || !("name" in value)) return false
  return (value.kind === "secret" || value.kind === "variable") && typeof value.name === "string"
}

/** True for a name that GitHub accepts for a secret and every shell for a variable. */
export function isSettingName(name: string): boolean {
  return /^[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*$/.test(name) && !name.startsWith("GITHUB_")
}
