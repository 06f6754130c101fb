/**
 * Holds locks with one library while the server is slow. Runs in a process of its own and answers with what is left of
 * them.
 */
import { Redis } from 'ioredis'
import { answerWith } from './child-process.ts'
import { endServer } from './end-server.ts'
import { makeKeys } from './keys.ts'
import { loadLibrary } from './load-library.ts'
import type { OverloadJob, Remainder } from './overload-measurement.ts'
import { meet } from './rendezvous.ts'

async function measure({ library, url, locks, ttl }: OverloadJob): Promise<Remainder> {
  const control = new Redis(url)
  const holder = await (await loadLibrary(library)).open(url, ttl)
  await holder.acquireAll(makeKeys('benched:', locks))
  await meet(control, 'all held', 2)
  await meet(control, 'over', 2)
  return { held: holder.held(), lost: holder.lost() }
}

await answerWith(measure, endServer)
