/**
 * The critical section, with a counter in Redis of those who are inside: a judge that no library has a say in. May
 * import ioredis.
 */
import type { Redis } from 'ioredis'

const INSIDE = 'section:inside'

/** Whether somebody else was inside already. */
export async function enterSection(client: Redis): Promise<boolean> {
  return (await client.incr(INSIDE)) > 1
}

export async function leaveSection(client: Redis): Promise<void> {
  await client.decr(INSIDE)
}

/** What a command has to do with the section. @param command as MONITOR writes it: `"incr" "key"` */
export function sectionStep(command: string): 'enter' | 'leave' | 'none' {
  if (!command.endsWith(` "${INSIDE}"`)) return 'none'
  return command.startsWith('"incr"') ? 'enter' : 'leave'
}
