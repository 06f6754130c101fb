/** What users do with keys that several may hold: permits of two numbers, and readers and writers, some of which become readers. */
import type { Lease, JointOptions } from 'leasewheel'
import type { Member } from './member.ts'
import type { Random } from './random.ts'

/** The most permits that anybody knows of. */
export const PERMITS = 3

const ACTIONS = { acquire: 5, tryAcquire: 2, using: 2, forceRelease: 0.1, inspect: 0.3 } as const
export type JointAction = keyof typeof ACTIONS

/** Keys by what they are used for. */
export const JOINT_KEYS = ['permits 0', 'permits 1', 'document 0', 'document 1'] as const

/** Whether a key has permits; otherwise it has readers and writers. */
export function hasPermits(key: string): boolean {
  return key.startsWith('permits')
}

export function drawJointAction(random: Random): JointAction {
  return random.weighted(ACTIONS)
}

export function drawJoint(random: Random, key: string): JointOptions {
  if (!hasPermits(key)) return { mode: random.chance(0.7) ? 'read' : 'write' }
  const permits = random.chance(0.9) ? PERMITS : PERMITS - 1
  return random.chance(0.2) ? { permits, weight: 2 } : { permits }
}

/** A writer may become a reader after a while. */
export function downgradeLater(
  random: Random,
  member: Member,
  lease: Lease,
  then: (done: Promise<void>) => void,
): void {
  if (lease.mode !== 'write' || !random.chance(0.3)) return
  member.process.sleep(() => {
    if (member.inspector.reading(() => lease.held)) then(lease.downgrade())
  }, random.exponential(100))
}
