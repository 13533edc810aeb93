/** Values of one statement. `bind` gives the place of a value in its SQL, with the type that it is to have there. */
export type Parameters = { readonly values: unknown[]; bind(value: unknown, type: string): string }

export function newParameters(): Parameters {
  const values: unknown[] = []
  return {
    values,
    bind(value, type) {
      values.push(value)
      return `$${values.length}::${type}`
    },
  }
}
