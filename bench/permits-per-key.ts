/** Promises which key the permits of a comparison are of. */

/** How many permits a key has, all of which are held. */
export const PERMITS = 10

/** @param index of the permit. Of so many keys in a row only the first is used. */
export function keyOfPermit(keys: readonly string[], index: number): string {
  return keys[index - (index % PERMITS)] as string
}
