/**
 * The times of a lease: its deadline, its renewals, and the retries of a failed renewal. Pure. All times and durations are
 * in ms; `random` is a number in [0, 1).
 */

/** Renewals within one ttl while none fails. */
export const RENEWALS_PER_TTL = 3
/** The fraction of a ttl after which a renewal is due. */
const RENEWAL_FRACTION = 1 / RENEWALS_PER_TTL
/** A renewal sent up to this many ms before its due time counts as that renewal: the wheel fires up to a tick early. */
const EARLY = 10
/** Covers rounding on both sides, which a drifting clock does not explain. */
const FIXED_MARGIN = 2

/** The part of a ttl that the holder gives up, because the server's clock may run faster and expire the key first. */
function marginOf(ttl: number, driftFactor: number): number {
  return ttl * driftFactor + FIXED_MARGIN
}

/** The deadline of a lease whose key got `ttl` by a request sent at `sentAt`. */
export function deadlineOf(sentAt: number, ttl: number, driftFactor: number): number {
  return sentAt + ttl - marginOf(ttl, driftFactor)
}

/**
 * When to renew a lease that a request sent at `sentAt` confirmed: at most about a third of its ttl later, a whole number of
 * thirds after `phase`. So leases that were late together, after a blocked event loop or an outage, return to their own times
 * and do not stay a burst. The time is up to 50 ms earlier, on a beat that leases share: a wake-up costs a process more than
 * dozens of renewals.
 *
 * @param phase any time at which a renewal was due; without one it is due a third of the ttl after `sentAt`
 */
export function renewalDue(sentAt: number, ttl: number, phase: number = sentAt): number {
  const period = ttl * RENEWAL_FRACTION
  // The beat and the wheel may have made the confirmed renewal early: it must not be due once more.
  const early = beatOf(ttl) + EARLY
  const periods = Math.floor((sentAt + early - phase) / period) + 1
  return onBeat(phase + periods * period, ttl)
}

/**
 * When a new lease is first renewed: at a random time within a third of its ttl. So leases acquired in one burst are spread
 * evenly over the period from their first renewal on.
 */
export function firstRenewalDue(sentAt: number, ttl: number, random: number): number {
  return onBeat(sentAt + ttl * RENEWAL_FRACTION * (1 - random), ttl)
}

/**
 * The time of the first renewals of all keys at one place, on the grid of the clock. So leases of one place are due together, whenever they were
 * acquired, and leases of all places are spread evenly.
 *
 * A server has neighbouring places. If they all came one after the other, it would have all its renewals in one part of the period, and be asked
 * nothing in the rest. So blocks of places take turns, in the order of their reversed bits: half a block for each beat at most.
 */
export function phaseOfPlace(place: number, places: number, ttl: number): number {
  const period = ttl * RENEWAL_FRACTION
  const bits = Math.floor(Math.log2(Math.max(Math.min((2 * period) / beatOf(ttl), places), 1)))
  const blocks = 2 ** bits
  const position = (place / places) * blocks
  const block = Math.floor(position)
  return phaseOf((reversed(block, bits) + position - block) / blocks, ttl)
}

/** @param bits how many bits the value has. */
function reversed(value: number, bits: number): number {
  let rest = value
  let result = 0
  for (let bit = 0; bit < bits; bit += 1) {
    result = result * 2 + (rest & 1)
    rest >>= 1
  }
  return result
}

/**
 * The time of the first renewals at this part of a third of the ttl, on the grid of the clock.
 *
 * @param share a number in [0, 1)
 */
export function phaseOf(share: number, ttl: number): number {
  return onBeat(share * ttl * RENEWAL_FRACTION, ttl)
}

/** A number in [0, 1) that follows from the text: another one for nearly every other text. (FNV-1a, with a finisher of MurmurHash3.) */
export function shareOf(text: string): number {
  let hash = 0x811c9dc5
  for (let index = 0; index < text.length; index += 1) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32
}

function onBeat(due: number, ttl: number): number {
  const beat = beatOf(ttl)
  return Math.floor(due / beat) * beat
}

/** Leases that are due within this many ms are renewed together. */
export function beatOf(ttl: number): number {
  return Math.min(ttl / 100, 50)
}

/**
 * How long to wait before a failed renewal is sent again: exponential backoff with equal jitter, from a sixtieth of the ttl
 * up to a tenth. The delay is at most a quarter of the time left, so that an attempt follows an outage that ends shortly
 * before the deadline.
 *
 * The floor of a hundredth of the ttl (at least 5 ms) bounds the attempts, whatever the ttl. At most 21 fit between a third
 * of the ttl and the deadline, and 28 if the first came right after the last confirmation. On a wheel that fires up to 10 ms
 * early they are 28 and 40, at ttls of some 400 ms.
 *
 * @param failures how many renewals in a row have failed, 1 or more
 * @param remaining what is left until the deadline
 */
export function renewalRetryDelay(ttl: number, failures: number, remaining: number, random: number): number {
  const backoff = Math.min((ttl / 60) * 2 ** Math.min(failures - 1, 16), ttl / 10)
  const jittered = backoff * (0.5 + random / 2)
  return Math.max(Math.min(jittered, remaining / 4), ttl / 100, 5)
}

/** The default timeout of a request to the backend: a sixth of the ttl, 50 ms to 2 s. */
export function defaultTimeout(ttl: number): number {
  return Math.min(Math.max(Math.round(ttl / 6), 50), 2_000)
}
