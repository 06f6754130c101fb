/** Whatever was thrown, as an `Error`. May import nothing. */
export function asError(thrown: unknown): Error {
  if (thrown instanceof Error) return thrown
  try {
    return new Error(String(thrown))
  } catch {
    // Not even that: `Object.create(null)`, for one.
    return new Error('An object was thrown that is no Error')
  }
}
