/** Whatever was thrown, as an `Error`. May import nothing. */
export function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown))
}
