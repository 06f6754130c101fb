/**
 * Holds locks with one library and writes down when it tells of a loss. Runs in a process of its own and answers with
 * the notices.
 */
import { Redis } from 'ioredis'
import { answerWith } from './child-process.ts'
import { endServer } from './end-server.ts'
import { makeKeys } from './keys.ts'
import { loadLibrary } from './load-library.ts'
import type { LossJob, Notice } from './loss-measurement.ts'
import { machineTime } from './machine-clock.ts'
import { meet } from './rendezvous.ts'

async function measure({ library, url, leases, ttl }: LossJob): Promise<readonly Notice[]> {
  const control = new Redis(url)
  const notices: Notice[] = []
  const holder = await (await loadLibrary(library)).open(url, ttl, (key) => {
    notices.push({ key, noticedAt: machineTime() })
  })
  await holder.acquireAll(makeKeys('benched:', leases))
  await meet(control, 'all held', 2)
  await meet(control, 'all deleted', 2)
  return notices
}

await answerWith(measure, endServer)
