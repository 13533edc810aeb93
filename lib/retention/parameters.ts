/** Values of a statement in the order of their `$1`, `$2`, …. */
export type Parameters = {
  values: unknown[]
  /** The SQL that stands for a value, such as `$2::timestamptz`. */
  add(value: unknown, type: string): string
  /** A condition that is always true and names every value so far: the server must know the type of each, used or not. */
  mention(): string
}

/** Begins with the values of a statement that this one contains. */
export function newParameters(earlier: readonly unknown[] = []): Parameters {
  const values = [...earlier]
  const names: string[] = []
  return {
    values,
    add(value, type) {
      values.push(value)
      const name = `$${values.length}::${type}`
      names.push(name)
      return name
    },
    mention: () => `(${[...names.map((name) => `${name} is null`), "true"].join(" or ")})`,
  }
}
