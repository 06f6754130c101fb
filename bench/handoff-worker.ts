/**
 * Callers that all want one lock, again and again. Runs in a process of its own, beside others like it, and answers
 * with a `CallersMeasurement`.
 */
import { setTimeout } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { answerWith } from './child-process.ts'
import { endServer } from './end-server.ts'
import {
  type CallersMeasurement,
  type Grant,
  type HandoffJob,
  makeSchedule,
  type Schedule,
} from './handoff-measurement.ts'
import type { Holder } from './library.ts'
import { loadLibrary } from './load-library.ts'
import { machineTime, sleepUntil } from './machine-clock.ts'
import { meet } from './rendezvous.ts'
import { enterSection, leaveSection } from './section.ts'

const KEY = 'contended'

async function measure(job: HandoffJob): Promise<CallersMeasurement> {
  const { library, url, callers, processes, section, ttl } = job
  const control = new Redis(url)
  const holder = await (await loadLibrary(library)).open(url, ttl)
  // The one more is the parent.
  const schedule = makeSchedule(await meet(control, 'start', processes + 1), job)

  const grants: Grant[] = []
  const calling = Array.from({ length: callers.count }, async (_, index) => {
    while (machineTime() < schedule.end) grants.push(await takeTurn(holder, control, section, callers.first + index))
  })
  const nodeCpu = measureCpu(schedule)
  // Whoever still waits then waits for ever: the process ends.
  await Promise.race([Promise.all(calling), sleepUntil(schedule.end)])
  return { grants, nodeCpu: await nodeCpu }
}

async function takeTurn(holder: Holder, control: Redis, section: number, caller: number): Promise<Grant> {
  const held = await holder.acquire(KEY)
  const enteredAt = machineTime()
  const overlaps = await enterSection(control)
  if (section > 0) await setTimeout(section)
  await leaveSection(control)
  const leavingAt = machineTime()
  await held.release()
  return { caller, enteredAt, leavingAt, overlaps }
}

async function measureCpu({ from, to }: Schedule): Promise<number> {
  await sleepUntil(from)
  const before = process.cpuUsage()
  await sleepUntil(to)
  const { user, system } = process.cpuUsage(before)
  return user + system
}

await answerWith(measure, endServer)
