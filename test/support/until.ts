/** Waiting for something that comes about by itself. */
import { setTimeout } from 'node:timers/promises'

/** From one look to the next, in ms. */
const PACE = 10

/**
 * Looks again and again until it is so.
 * @param what for the error: "Waited in vain until …"; a function, if it says more after a look.
 * @param patience ms.
 */
export async function until(
  what: string | (() => string),
  isTrue: () => boolean | Promise<boolean>,
  patience = 30_000,
): Promise<void> {
  const giveUpAt = performance.now() + patience
  while (!(await isTrue())) {
    if (performance.now() > giveUpAt)
      throw new Error(`Waited in vain until ${typeof what === 'string' ? what : what()}`)
    await setTimeout(PACE)
  }
}
