/**
 * The arithmetic of a lease: when it ends, when it is renewed, how a failed renewal is repeated. Pure; all times and
 * durations are ms; `random` is a number in [0, 1).
 */

/** How often a lease is renewed within its ttl while nothing is wrong. */
export const RENEWALS_PER_TTL = 3
/** The part of a ttl after which a renewal is due. */
const RENEWAL_FRACTION = 1 / RENEWALS_PER_TTL
/** A renewal that was sent up to this much (ms) before its due time was that one, and not one before it: a wheel hands out early. */
const EARLY = 10
/** Covers what a driving clock's rate cannot explain: rounding on either side. */
const FIXED_MARGIN = 2

/** What is taken off a ttl so that the holder's idea of the end comes before the server's, whose clock may run faster. */
function marginOf(ttl: number, driftFactor: number): number {
  return ttl * driftFactor + FIXED_MARGIN
}

/** Until when a lease holds whose key was given `ttl` by a request sent at `sentAt`. */
export function deadlineOf(sentAt: number, ttl: number, driftFactor: number): number {
  return sentAt + ttl - marginOf(ttl, driftFactor)
}

/**
 * When a lease confirmed by a request sent at `sentAt` is renewed: about a third of its ttl from then or earlier, at a time
 * that lies a whole number of thirds after `phase`. So leases that were late together, after a blocked event loop or an outage, go back
 * to their own times instead of staying a burst. Up to 50 ms before that, on a beat that it shares with others: waking up
 * costs a process more than renewing dozens of leases does.
 *
 * @param phase some time at which a renewal was due; without one it is due a third of the ttl after `sentAt`
 */
export function renewalDue(sentAt: number, ttl: number, phase: number = sentAt): number {
  const period = ttl * RENEWAL_FRACTION
  // What the beat and the wheel may have taken off: the renewal that was just confirmed must not be due once more.
  const early = beatOf(ttl) + EARLY
  const periods = Math.floor((sentAt + early - phase) / period) + 1
  return onBeat(phase + periods * period, ttl)
}

/**
 * When a new lease is renewed for the first time: anywhere between now and a third of its ttl, so that leases acquired
 * in one burst are spread evenly over the whole period from their first renewal on.
 */
export function firstRenewalDue(sentAt: number, ttl: number, random: number): number {
  return onBeat(sentAt + ttl * RENEWAL_FRACTION * (1 - random), ttl)
}

function onBeat(due: number, ttl: number): number {
  const beat = beatOf(ttl)
  return Math.floor(due / beat) * beat
}

function beatOf(ttl: number): number {
  return Math.min(ttl / 100, 50)
}

/**
 * How long to wait before a failed renewal is sent again: exponential backoff with equal jitter, from a sixtieth of the
 * ttl up to a tenth, but never more than a quarter of the time that is left, so that an outage which ends shortly before
 * the deadline still finds an attempt after its end.
 *
 * At most 21 attempts fit between a third of the ttl and the deadline, whatever the ttl, and 28 where the first of them came
 * right after the last confirmation: the floor of a hundredth of the ttl (at least 5 ms) bounds them. On a wheel that wakes
 * up to 10 ms early they are 28 and 40, at ttls of some 400 ms.
 *
 * @param failures how many renewals in a row have failed, 1 or more
 * @param remaining what is left until the deadline
 */
export function renewalRetryDelay(ttl: number, failures: number, remaining: number, random: number): number {
  const backoff = Math.min((ttl / 60) * 2 ** Math.min(failures - 1, 16), ttl / 10)
  const jittered = backoff * (0.5 + random / 2)
  return Math.max(Math.min(jittered, remaining / 4), ttl / 100, 5)
}

/** How long one question to the backend may stay unanswered when the caller does not say: a sixth of the ttl, 50 ms to 2 s. */
export function defaultTimeout(ttl: number): number {
  return Math.min(Math.max(Math.round(ttl / 6), 50), 2_000)
}
