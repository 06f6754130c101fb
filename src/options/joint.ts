/** Resolves the options of a key that several may hold. */
import { ANNOUNCED_FOR, type Joint } from '../rules/sharing.ts'
import { checkInteger, describe } from './check.ts'
import type { JointOptions } from './options.ts'

export const JOINT_OPTIONS = ['permits', 'weight', 'mode'] as const

const MOST_PERMITS = 1_000_000

/** The last one: calls with the same options share it. */
let last: Joint | undefined

/** @param waits whether the caller waits for a key that is not free. @returns undefined for a plain lock. */
export function resolveJoint({ permits, weight, mode }: JointOptions, waits: boolean): Joint | undefined {
  if (mode !== undefined) {
    if (permits !== undefined || weight !== undefined) {
      throw new RangeError('Expected either `mode` or `permits`, got both: a key has readers and writers, or permits')
    }
    if (mode === 'read' || mode === 'write') {
      return sameAs({ mode, permits: 0, weight: 1, announce: waits ? ANNOUNCED_FOR : 0 })
    }
    throw new RangeError(`Expected \`mode\` to be 'read' or 'write', got ${describe(mode)}`)
  }
  if (permits === undefined) {
    if (weight === undefined) return undefined
    throw new RangeError('Expected `permits` with `weight`: how many permits there are')
  }
  const count = checkInteger('permits', permits, 1, { max: MOST_PERMITS, unit: 'permits' })
  const taken = weight === undefined ? 1 : checkInteger('weight', weight, 1, { max: count, unit: 'permits' })
  return sameAs({ mode: 'permit', permits: count, weight: taken, announce: 0 })
}

/** Checks what is joint of a lease that `detach` returned. It may have come over a network. */
export function checkJoint(value: unknown): Joint | undefined {
  if (value === undefined) return undefined
  if (typeof value !== 'object' || value === null) {
    throw new TypeError(`Expected \`joint\` to be an object or undefined, got ${describe(value)}`)
  }
  const { mode, permits, weight } = value as Record<keyof JointOptions, unknown>
  if (mode === 'read' || mode === 'write') return resolveJoint({ mode }, false)
  if (mode !== 'permit') {
    throw new TypeError(`Expected \`joint.mode\` to be 'permit', 'read' or 'write', got ${describe(mode)}`)
  }
  const count = checkInteger('joint.permits', permits, 1, { max: MOST_PERMITS, unit: 'permits' })
  return resolveJoint(
    { permits: count, weight: checkInteger('joint.weight', weight, 1, { max: count, unit: 'permits' }) },
    false,
  )
}

function sameAs(joint: Joint): Joint {
  const { mode, permits, weight, announce } = joint
  const isSame = last?.mode === mode && last.permits === permits && last.weight === weight && last.announce === announce
  if (!isSame) last = joint
  return last as Joint
}
